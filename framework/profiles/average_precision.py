"""Average precision of ranked profiles, with the p-value of a random order (Kalinin 2024).

A query ranks its positives (replicates, say) and negatives (controls, say) by cosine similarity. Average precision is
the mean of the precision at the rank of each positive: 1 where all positives come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_DRAWN = 2_000_000
"""Random numbers held at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Precision:
    """Average precision of each query.

    Attributes:
        values: (n,) 0..1; NaN for a query without a positive or without a negative.
        positives, total: (n,) how many were ranked.
    """

    values: Floats
    positives: Ints
    total: Ints


def cosine(values: Floats) -> Floats:
    """Return the cosine similarity of all rows with all, (n, n); 0 for a row of zeros."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    similar: Floats = unit @ unit.T
    return similar


def average_precision(similarity: Floats, positive: Mask, negative: Mask) -> Precision:
    """Rank positives and negatives of each query.

    Args:
        similarity: (n, m) of each query with each candidate.
        positive, negative: (n, m) which candidates count; of equal similarity negatives come first.
    """
    n = len(similarity)
    values, positives, total = np.full(n, np.nan), np.zeros(n, np.int64), np.zeros(n, np.int64)
    for row in range(n):
        ranked = np.flatnonzero(positive[row] | negative[row])
        is_positive = positive[row, ranked]
        positives[row], total[row] = int(is_positive.sum()), len(ranked)
        if 0 < positives[row] < total[row]:
            order = np.lexsort((is_positive, -similarity[row, ranked]))
            places = np.flatnonzero(is_positive[order])
            values[row] = float((np.arange(1, len(places) + 1) / (places + 1)).mean())
    return Precision(values=values, positives=positives, total=total)


def mean_average_precision(
    found: Precision, groups: npt.NDArray[np.object_], permutations: int, seed: int
) -> Mapping[str, tuple[float, float, int]]:
    """Return group -> (mean average precision, p, queries).

    p is the share of random orders that reach the mean, (1 + those that reach it) / (1 + permutations). Queries with as
    many positives and negatives share their random orders, as in copairs: replicates rank each other and are not
    independent, and a p that took them as such would be too small.

    Args:
        found: of all queries.
        groups: (n,) group of each query, as its treatment.
        permutations: random orders for each number of positives and negatives.
        seed: seed of the random orders.
    """
    known = ~np.isnan(found.values)
    shapes = sorted({(int(m), int(n)) for m, n in zip(found.positives[known], found.total[known], strict=True)})
    random = np.random.default_rng(seed)
    null = {shape: random_precision(*shape, permutations, random) for shape in shapes}
    result: dict[str, tuple[float, float, int]] = {}
    for name in dict.fromkeys(groups[known].tolist()):
        mine = np.flatnonzero(known & (groups == name))
        mean = float(found.values[mine].mean())
        drawn = np.zeros(permutations)
        for row in mine:
            drawn += null[int(found.positives[row]), int(found.total[row])]
        reached = int((drawn / len(mine) >= mean - 1e-12).sum())
        result[str(name)] = (mean, (1 + reached) / (1 + permutations), len(mine))
    return result


def random_precision(positives: int, total: int, draws: int, random: np.random.Generator) -> Floats:
    """Return the average precision, 0..1, of ``draws`` random orders of ``total`` candidates with so many positives.

    Returns:
        float64 (draws,).
    """
    step = max(1, _DRAWN // total)
    parts = []
    for start in range(0, draws, step):
        order = random.random((min(step, draws - start), total))
        places = np.sort(np.argpartition(order, positives - 1, axis=1)[:, :positives], axis=1)
        parts.append((np.arange(1, positives + 1) / (places + 1)).mean(axis=1))
    drawn: Floats = np.concatenate(parts)
    return drawn
