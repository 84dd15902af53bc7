"""Pearson's r of each gene over held-out bags, its median over genes, and how sure it is: groups are resampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.evaluate.intervals import difference_interval, quantile_interval

Floats = npt.NDArray[np.float64]
LIMITS = (0.2, 0.3, 0.4)


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """The test bags of one split and target.

    Attributes:
        split: name of the split.
        target: name of the target.
        measured: (n, G).
        predicted: row of the table -> (n, G).
        groups: (n,) text, bags that are resampled together.
    """

    split: str
    target: str
    measured: Floats
    predicted: Mapping[str, Floats]
    groups: npt.NDArray[np.object_]


def weighted_r(counts: Floats, predicted: Floats, measured: Floats) -> Floats:
    """Return Pearson's r of each column with each row counted so often, (R, n), (n, G), (n, G) -> (R, G).

    It is 0 where either side is constant.
    """
    x, y = (side - side.mean(axis=0) for side in (predicted, measured))
    x, y = (side / np.where(side.std(axis=0) > 0, side.std(axis=0), 1.0) for side in (x, y))
    total = counts.sum(axis=1, keepdims=True)
    mean_x, mean_y, xx, yy, xy = (counts @ each / total for each in (x, y, x * x, y * y, x * y))
    spread = (xx - mean_x**2) * (yy - mean_y**2)
    varies = spread > 1e-12
    r: Floats = np.zeros_like(spread)
    r[varies] = ((xy - mean_x * mean_y)[varies] / np.sqrt(spread[varies])).clip(-1, 1)
    return r


def compare(repeats: Sequence[Sequence[Block]], reference: str, resamples: int = 1000) -> list[dict[str, Any]]:
    """Score all rows on the same bags and genes.

    Args:
        repeats: the blocks of each repeat, of the same splits, targets, bags and genes.
        reference: the row that others are compared with.
        resamples: draws of the groups of each split, the same for all rows and repeats.

    Returns:
        One entry per row: the median over genes of r, where r is the mean over splits, and the mean over repeats of
        that; its interval, its value in each repeat and split; how many genes lie above ``LIMITS``; by how much the
        row is above the reference, with interval.
    """
    draws = _draws(repeats[0], resamples)
    found = {row: [_of_genes(blocks, row, draws) for blocks in repeats] for row in repeats[0][0].predicted}
    medians = {row: np.array([np.median(each, axis=1) for each in several]) for row, several in found.items()}
    means = {row: each.mean(axis=0) for row, each in medians.items()}
    apart = {row: each - means[reference] for row, each in means.items()}
    return [
        {
            "row": row,
            "median_r": float(means[row][0]),
            "interval": list(quantile_interval(means[row][1:])),
            "of_repeats": medians[row][:, 0].tolist(),
            "of_splits": _of_splits(repeats, row),
            "genes_above": {str(limit): _above(found[row], limit) for limit in LIMITS},
            "above_reference_by": float(apart[row][0]),
            "above_reference_interval": list(difference_interval(float(apart[row][0]), apart[row][1:])),
        }
        for row in found
    ]


def _draws(blocks: Sequence[Block], resamples: int) -> dict[tuple[str, str], Floats]:
    """Return (split, target) -> counts of rows (1 + R, n); the first counts each once."""
    random = np.random.default_rng(0)
    found = {}
    for split in dict.fromkeys(block.split for block in blocks):
        mine = [block for block in blocks if block.split == split]
        names = np.unique(np.concatenate([block.groups for block in mine]).astype(str))
        times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
        counts = np.vstack([np.ones(len(names)), times])
        for block in mine:
            found[split, block.target] = counts[:, np.searchsorted(names, block.groups.astype(str))]
    return found


def _of_genes(blocks: Sequence[Block], row: str, draws: Mapping[tuple[str, str], Floats]) -> Floats:
    """Return r of each gene of each target, the mean over splits, (1 + R, G)."""
    of_target: dict[str, list[Floats]] = {}
    for block in blocks:
        r = weighted_r(draws[block.split, block.target], block.predicted[row], block.measured)
        of_target.setdefault(block.target, []).append(r)
    return np.concatenate([np.mean(each, axis=0) for each in of_target.values()], axis=1)


def _of_splits(repeats: Sequence[Sequence[Block]], row: str) -> dict[str, float]:
    """Return the median over genes in each split, the mean over repeats."""
    found: dict[str, list[float]] = {}
    for blocks in repeats:
        for split in dict.fromkeys(block.split for block in blocks):
            mine = [block for block in blocks if block.split == split]
            ones = {(block.split, block.target): np.ones((1, len(block.measured))) for block in mine}
            found.setdefault(split, []).append(float(np.median(_of_genes(mine, row, ones))))
    return {split: float(np.mean(values)) for split, values in found.items()}


def _above(several: Sequence[Floats], limit: float) -> int:
    """Return how many genes have an r, mean over repeats, above a limit."""
    return int((np.mean([each[0] for each in several], axis=0) > limit).sum())
