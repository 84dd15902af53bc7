"""Exact nearest neighbours of single cells, and the votes they cast.

Distances are compared twice. One float32 matrix product a block of queries ranks all references and, with a rigorous
bound on its rounding, leaves a few candidates a query that can be among the nearest; those are measured again in
float64 from the differences themselves, where nothing cancels. So the result is that of brute force in float64, with
ties broken by the row of the reference, whatever the block size or the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.errors import InputError

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BLOCK_VALUES = 16 << 20
"""Approximate distances held at a time: 64 MB."""
_CHUNK = 32
"""References whose smallest distance stands for them while the bound is found; every (m / 32)th is in one chunk."""
_RECHECK_VALUES = 4 << 20
"""Differences held at a time while candidates are measured again: 32 MB."""
_ROUND_OFF = 2.0**-24
"""Unit round-off of float32."""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest references of every query, nearest first.

    Attributes:
        rows: int64 (n, k), rows of the reference; of equally distant ones the lower row comes first.
        distances: float64 (n, k), Euclidean.
    """

    rows: Ints
    distances: Floats


def standardise(values: npt.ArrayLike, fit_on: npt.NDArray[np.bool_] | None = None) -> tuple[Singles, int]:
    """Return features with mean 0 and (population) sd 1, and how many of them are constant; those become 0.

    Args:
        values: (n, d), finite.
        fit_on: (n,) rows that mean and sd are taken from; None takes all.

    Source: Lu 2019, "Baseline feature extraction and benchmarking".
    """
    table = np.asarray(values)
    chosen = table if fit_on is None else table[fit_on]
    # Constant means equal values: the sd of equal numbers need not be exactly 0.
    constant = chosen.max(axis=0) == chosen.min(axis=0)
    mean = chosen.mean(axis=0, dtype=np.float64)
    sd = np.where(constant, 1.0, chosen.std(axis=0, dtype=np.float64))
    scaled = np.empty(table.shape, dtype=np.float32)
    for start in range(0, len(table), 4096):
        block = (table[start : start + 4096].astype(np.float64) - mean) / sd
        block[:, constant] = 0.0
        scaled[start : start + 4096] = block
    return scaled, int(constant.sum())


def nearest(
    query: npt.ArrayLike,
    reference: npt.ArrayLike,
    k: int,
    *,
    query_groups: npt.ArrayLike | None = None,
    reference_groups: npt.ArrayLike | None = None,
) -> Neighbours:
    """Return the ``k`` nearest references of each query by Euclidean distance, exactly.

    Args:
        query: float32 (n, d), finite.
        reference: float32 (m, d), finite.
        k: neighbours wanted.
        query_groups: integers (n,); a reference of the same group as the query is not its neighbour. Leave-one-out is
            the case where every cell is its own group.
        reference_groups: integers (m,); given together with ``query_groups``.

    Raises:
        InputError: fewer than ``k`` references are left for a query.
    """
    left = np.ascontiguousarray(query, dtype=np.float32)
    right = np.ascontiguousarray(reference, dtype=np.float32)
    if (query_groups is None) != (reference_groups is None):
        raise ValueError("expected groups of both queries and references, or of neither")
    mine = None if query_groups is None else np.asarray(query_groups, dtype=np.int64)
    theirs = None if reference_groups is None else np.asarray(reference_groups, dtype=np.int64)
    _check_enough(len(right), k, mine, theirs)
    found = Neighbours(rows=np.empty((len(left), k), np.int64), distances=np.empty((len(left), k)))
    table = _Reference.of(right, theirs)
    block = max(1, _BLOCK_VALUES // max(len(table.padded), 1))
    scratch = np.empty((min(block, len(left)), len(table.padded)), dtype=np.float32)
    for start in range(0, len(left), block):
        part = slice(start, min(start + block, len(left)))
        groups = None if mine is None else mine[part]
        rows, columns = _candidates(left[part], table, k, groups, scratch[: part.stop - part.start])
        found.rows[part], found.distances[part] = _measured(left[part], right, rows, columns, k)
    return found


def vote(neighbour_labels: Ints, classes: int) -> Ints:
    """Return the commonest label of each row; of equally common ones the lowest, as scikit-learn does.

    Args:
        neighbour_labels: (n, k), labels 0 .. ``classes`` - 1.
        classes: number of labels.
    """
    n, k = neighbour_labels.shape
    counts = np.zeros((n, classes), dtype=np.int32)
    for column in range(k):
        counts[np.arange(n), neighbour_labels[:, column]] += 1
    winner: Ints = counts.argmax(axis=1).astype(np.int64)
    return winner


def vote_for_each(neighbours: Neighbours, labels: Ints, classes: int, ks: Sequence[int]) -> dict[int, Ints]:
    """Return k -> predicted labels (n,) from one search for the largest k."""
    voters = labels[neighbours.rows]
    return {k: vote(voters[:, :k], classes) for k in ks}


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """References laid out for the product: ``[b, |b|^2]``, padded to whole chunks with points no query is near.

    Attributes:
        padded: float32 (m', d + 1).
        m: references without padding.
        by_group: rows of the references sorted by group, with the sorted groups; None without groups.
    """

    padded: Singles
    m: int
    by_group: tuple[Ints, Ints] | None

    @classmethod
    def of(cls, points: Singles, groups: Ints | None) -> _Reference:
        m, d = points.shape
        padded = np.zeros((-(-m // _CHUNK) * _CHUNK, d + 1), dtype=np.float32)
        padded[:m, :d] = points
        with np.errstate(over="ignore"):
            padded[:m, d] = np.einsum("ij,ij->i", points, points, dtype=np.float64)
        if not np.isfinite(padded).all():
            raise InputError("features are NaN, infinite or too large for float32 distances; standardise them first")
        padded[m:, d] = np.inf
        order = None if groups is None else np.argsort(groups, kind="stable")
        return cls(padded=padded, m=m, by_group=None if order is None or groups is None else (order, groups[order]))


def _check_enough(m: int, k: int, mine: Ints | None, theirs: Ints | None) -> None:
    left = m
    if mine is not None and theirs is not None and len(mine):
        groups, counts = np.unique(theirs, return_counts=True)
        place = np.searchsorted(groups, mine).clip(0, max(len(groups) - 1, 0))
        left = m - int(np.where(groups[place] == mine, counts[place], 0).max(initial=0)) if m else 0
    if k < 1 or left < k:
        raise InputError(f"k = {k} nearest neighbours need at least {max(k, 1)} other cells, found {left}; lower k")


def _candidates(block: Singles, table: _Reference, k: int, groups: Ints | None, scratch: Singles) -> tuple[Ints, Ints]:
    """Return (rows of the block, rows of the reference), sorted, that hold the true k nearest of every row.

    ``|b|^2 - 2ab`` orders the references of a query as the distance does. A float32 dot product of n terms is off by at
    most n u / (1 - n u) times the product of the norms (Higham 2002, eq. 3.5), in any order of summation.
    """
    d = block.shape[1]
    query = np.concatenate([-2.0 * block, np.ones((len(block), 1), np.float32)], axis=1)
    np.matmul(query, table.padded.T, out=scratch)
    if groups is not None and table.by_group is not None:
        _exclude(scratch, groups, *table.by_group)
    chunked = scratch.reshape(len(block), _CHUNK, -1)
    smallest = chunked.min(axis=1)
    if smallest.shape[1] >= k:
        bound = np.partition(smallest, k - 1, axis=1)[:, k - 1].astype(np.float64)
        # Excluded references may leave fewer than k chunks with a finite minimum.
        short = ~np.isfinite(bound)
    else:
        bound, short = np.zeros(len(block)), np.ones(len(block), dtype=np.bool_)
    if short.any():
        bound[short] = np.partition(scratch[short], k - 1, axis=1)[:, k - 1]
    norm = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    gamma = (d + 4) * _ROUND_OFF / (1 - (d + 4) * _ROUND_OFF)
    # Once for the k references that gave the bound, once for a true neighbour's own value.
    first = _error(norm, bound, gamma)
    limit = bound + first + _error(norm, bound + first, gamma)
    ceiling = np.nextafter(limit.astype(np.float32), np.float32(np.inf))
    # Only chunks whose smallest value passes hold candidates.
    rows, chunks = np.nonzero(smallest <= ceiling[:, None])
    inside, member = np.nonzero(chunked[rows, :, chunks] <= ceiling[rows][:, None])
    rows, columns = rows[inside], member * smallest.shape[1] + chunks[inside]
    return rows, columns


def _error(norm: Floats, bound: Floats, gamma: float) -> Floats:
    """Rounding error of an approximate value that is at most ``bound``: its reference cannot have a larger norm."""
    grown = (1 + gamma) * norm
    largest = (grown + np.sqrt(np.maximum(grown**2 + (1 - gamma) * bound, 0.0))) / (1 - gamma)
    error: Floats = gamma * (2 * norm * largest + largest**2)
    return error


def _exclude(scratch: Singles, groups: Ints, order: Ints, ordered: Ints) -> None:
    """Set what lies in a query's own group to infinity."""
    first = np.searchsorted(ordered, groups, side="left")
    last = np.searchsorted(ordered, groups, side="right")
    for row, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        scratch[row, order[start:stop]] = np.inf


def _measured(block: Singles, points: Singles, rows: Ints, columns: Ints, k: int) -> tuple[Ints, Floats]:
    """Return (rows of the reference, distances), (n, k), from the candidates of each row."""
    squared = np.empty(len(rows))
    step = max(1, _RECHECK_VALUES // max(points.shape[1], 1))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = block[rows[part]].astype(np.float64)
        difference -= points[columns[part]]
        squared[part] = np.einsum("ij,ij->i", difference, difference)
    order = np.lexsort((columns, squared, rows))
    begin = np.searchsorted(rows, np.arange(len(block)))
    chosen = order[begin[:, None] + np.arange(k)]
    return columns[chosen], np.sqrt(squared[chosen])
