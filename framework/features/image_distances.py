"""Are images with the same label near each other: normalised average distances between the cells of two images.

Source: Lu 2019, "Comparing pairwise distances in feature spaces". The distance of two images is the mean Euclidean
distance of all cells of the one to all cells of the other; pairs with the same label are compared with what pairs with
different labels give. The paper says "normalize to an expectation" and reports values such as -0.57 and no formula:
here it is (distance - mean) / sd over the pairs with different labels by default, or divided by their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.distance import cdist

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ALL = "all"
_MOST_CELLS = 50


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images of cells.

    Attributes:
        label: int64 (m,), class of each image.
        cells: the rows of each image's cells.
        line: int64 (m,), cell line, or None.
        protein: int64 (m,), or None; two images of one protein are not a pair.
    """

    label: Ints
    cells: tuple[Ints, ...]
    line: Ints | None = None
    protein: Ints | None = None

    @classmethod
    def of(cls, label: Ints, group: Ints, line: Ints | None = None, protein: Ints | None = None) -> Images:
        """Collect the cells of each image; an image that shows two labels (lines, proteins) counts as two images."""
        facts = [values for values in (label, group, line, protein) if values is not None]
        _, first, image = np.unique(np.stack(facts), axis=1, return_index=True, return_inverse=True)
        order = np.argsort(image.ravel(), kind="stable").astype(np.int64)
        ends = np.cumsum(np.bincount(image.ravel()))
        return cls(
            label=label[first],
            cells=tuple(np.split(order, ends[:-1])),
            line=None if line is None else line[first],
            protein=None if protein is None else protein[first],
        )


def normalised_distances(
    values: npt.NDArray[np.float32],
    images: Images,
    classes: tuple[str, ...],
    *,
    pairs: int,
    controlled_pairs: int,
    normalise: str = "sd",
    seed: int = 0,
) -> pd.DataFrame:
    """Return how near images of one label are, in units of what images of different labels are apart.

    Args:
        values: (n, d), standardised features.
        images: which rows make which image.
        classes: names of the labels.
        pairs: pairs drawn for each label, and for it with each other label; all of them where there are no more.
        controlled_pairs: pairs drawn of equal and of different labels where the cell line is held.
        normalise: ``sd`` or ``mean``.
        seed: seed of the draws.

    Returns:
        Columns ``lines`` (``any``, ``same``, ``different``), ``label`` (``all`` for the mean over labels, or over pairs
        where the line is held), ``pairs``, ``distance`` (negative: nearer than expected; NaN without pairs).
    """
    random = np.random.default_rng(seed)
    measure = _Measure(values, images, random)
    rows = []
    for one, name in enumerate(classes):
        mine = np.flatnonzero(images.label == one)
        same = _pairs(images, mine, mine, pairs, random)
        other = [
            _pairs(images, mine, np.flatnonzero(images.label == two), pairs, random)
            for two in range(len(classes))
            if two != one
        ]
        rows.append(("any", name, len(same), _normalised(measure(same), measure(np.concatenate(other)), normalise)))
    known = [row[3] for row in rows if not np.isnan(row[3])]
    rows.append(("any", ALL, sum(row[2] for row in rows), float(np.mean(known)) if known else float("nan")))
    if images.line is not None:
        line = images.line
        for lines, holds in (("same", np.equal), ("different", np.not_equal)):
            same = _controlled(images, line, holds, np.equal, controlled_pairs, random)
            apart = _controlled(images, line, holds, np.not_equal, controlled_pairs, random)
            rows.append((lines, ALL, len(same), _normalised(measure(same), measure(apart), normalise)))
    return pd.DataFrame(rows, columns=["lines", "label", "pairs", "distance"])


class _Measure:
    """Distances of pairs of images, each measured once; of many images, those of cells that are drawn."""

    def __init__(self, values: npt.NDArray[np.float32], images: Images, random: np.random.Generator) -> None:
        self._values = values
        self._cells = [
            cells if len(cells) <= _MOST_CELLS else np.sort(random.choice(cells, _MOST_CELLS, replace=False))
            for cells in images.cells
        ]
        self._known: dict[tuple[int, int], float] = {}

    def __call__(self, pairs: Ints) -> Floats:
        return np.array([self._one(int(first), int(second)) for first, second in pairs])

    def _one(self, first: int, second: int) -> float:
        key = (min(first, second), max(first, second))
        if key not in self._known:
            left, right = (self._values[self._cells[image]] for image in key)
            self._known[key] = float(cdist(left, right).mean())
        return self._known[key]


def _normalised(same: Floats, different: Floats, normalise: str) -> float:
    scale = (different.std() if normalise == "sd" else different.mean()) if len(different) > 1 else 0.0
    return float((same.mean() - different.mean()) / scale) if len(same) and scale > 0 else float("nan")


def _allowed(images: Images, first: Ints, second: Ints) -> npt.NDArray[np.bool_]:
    allowed: npt.NDArray[np.bool_] = first != second
    if images.protein is not None:
        allowed &= images.protein[first] != images.protein[second]
    return allowed


def _pairs(images: Images, left: Ints, right: Ints, most: int, random: np.random.Generator) -> Ints:
    """Pairs of an image of ``left`` with one of ``right``, int64 (p, 2): all of them once, or ``most`` drawn."""
    if len(left) * len(right) <= 4 * most:
        grid = np.stack(np.meshgrid(left, right, indexing="ij"), axis=-1).reshape(-1, 2)
        grid = np.unique(np.sort(grid, axis=1), axis=0)
    else:
        grid = np.stack([random.choice(left, 4 * most), random.choice(right, 4 * most)], axis=1)
    grid = grid[_allowed(images, grid[:, 0], grid[:, 1])]
    return grid if len(grid) <= most else grid[np.sort(random.choice(len(grid), most, replace=False))]


def _controlled(
    images: Images,
    line: Ints,
    holds: Callable[[Ints, Ints], npt.NDArray[np.bool_]],
    labels: Callable[[Ints, Ints], npt.NDArray[np.bool_]],
    most: int,
    random: np.random.Generator,
) -> Ints:
    """Pairs of images whose lines and labels are equal or different, as asked."""
    m = len(images.label)
    every = m * m <= 40 * most
    grid = np.stack(np.triu_indices(m, 1), axis=1) if every else random.integers(0, m, size=(40 * most, 2))
    first, second = grid[:, 0], grid[:, 1]
    wanted = _allowed(images, first, second) & holds(line[first], line[second])
    grid = grid[wanted & labels(images.label[first], images.label[second])]
    return grid if len(grid) <= most else grid[np.sort(random.choice(len(grid), most, replace=False))]
