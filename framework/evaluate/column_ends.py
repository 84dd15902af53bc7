"""Ends of intervals, one column after another, compiled by numba: the k-th smallest of sums that are never all made.

Rows that the same splits held out are asked together. The errors of the rows that calibrate them lie in parts: those
that the same of these splits held out. A part is put in order once, from its largest error on and no further than an
end can lie. Each row adds what its splits say of it to all errors of a part, which keeps their order, so a heap over
the heads of the parts finds the k-th smallest sum of all parts within a few steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.compiled import compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_FEW = 12
"""So many values are put in order one by one."""
_GUESSES = 4
"""So often an end is guessed anew from how many values lie above the last guess."""
_LAST_BIT = 1e-9
"""A product such as 10 x 0.9 must not be rounded up because of its last bit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lists:
    """Lists of whole numbers, one after another.

    Attributes:
        starts: (lists + 1,).
        values: values of all of them.
    """

    starts: Ints
    values: Ints

    @classmethod
    def of(cls, lists: list[Ints]) -> Lists:
        """Return ``lists``, joined."""
        starts = np.cumsum([0, *(len(each) for each in lists)], dtype=np.int64)
        return cls(starts=starts, values=np.concatenate([np.empty(0, dtype=np.int64), *lists]).astype(np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """Which rows calibrate which; the same for all columns.

    Attributes:
        groups: group -> its parts, which are numbered from 0 on.
        calibrating: part -> its rows.
        splits: part -> the splits that held out these rows, and of which the rows of the group are asked.
        rows: group -> the rows that are asked.
        unit: (n,) unit of each calibrating row.
        own: (t,) unit of each row that is asked, -1 for one of none.
        held: (splits, n) place of a calibrating row in ``predicted``, -1 where the split did not hold it out.
        said: (splits, t) place of a row that is asked in what is said of it.
    """

    groups: Ints
    calibrating: Lists
    splits: Lists
    rows: Lists
    unit: Ints
    own: Ints
    held: Ints
    said: Ints


def ends_of_columns(
    asked: Asked, predicted: Floats, measured: Floats, said: Floats, level: float
) -> tuple[Floats, Floats]:
    """Return lower and upper ends, (P, t); infinite where too few rows calibrate.

    Args:
        asked: which rows calibrate which.
        predicted: (P, h) of held-out rows of all splits.
        measured: (P, h), NaN where nothing was measured.
        said: (P, s) of the rows that are asked, by all splits.
        level: share that the intervals shall hold, 0..1.
    """
    lower, upper = (np.full((len(predicted), asked.said.shape[1]), np.nan) for _ in range(2))
    _ends_of_all(
        (predicted, measured, said),
        level,
        asked.groups,
        (asked.calibrating.starts, asked.calibrating.values),
        (asked.splits.starts, asked.splits.values),
        (asked.rows.starts, asked.rows.values),
        (asked.unit, asked.own),
        (asked.held, asked.said),
        lower,
        upper,
    )
    return lower, upper


@compiled
def _ends_of_all(
    values: Any,
    level: float,
    groups: Ints,
    calibrating: Any,
    splits: Any,
    asked: Any,
    units: Any,
    places: Any,
    lower: Floats,
    upper: Floats,
) -> None:
    predicted, measured, said = values
    unit, own = units
    for group in range(len(groups) - 1):
        parts = np.arange(groups[group], groups[group + 1])
        rows = calibrating[1][calibrating[0][groups[group]] : calibrating[0][groups[group + 1]]]
        begins = calibrating[0][parts] - calibrating[0][groups[group]]
        ends = calibrating[0][parts + 1] - calibrating[0][groups[group]]
        wanted = asked[1][asked[0][group] : asked[0][group + 1]]
        unit_of = unit[rows]
        most = _most_of_a_unit(unit_of, own[wanted])
        errors, order, counts = np.empty(len(rows)), np.empty(len(rows), dtype=np.int64), np.empty_like(begins)
        for column in range(len(predicted)):
            for place in range(len(parts)):
                of = splits[1][splits[0][parts[place]] : splits[0][parts[place] + 1]]
                mine = rows[begins[place] : ends[place]]
                counts[place] = _known(
                    predicted[column], measured[column], places[0], of, mine, begins[place], errors, order
                )
            count, end = _count_and_place(counts.sum(), level)
            ready = max(0, count - end + 1) + most
            for place in range(len(parts)):
                _order_largest(errors, order[begins[place] : begins[place] + counts[place]], ready)
            _ends_of_group(
                said[column],
                level,
                (parts, begins, counts),
                (errors, order, ready),
                splits,
                wanted,
                (unit_of, own),
                places[1],
                lower[column],
                upper[column],
            )


@compiled
def _most_of_a_unit(of_rows: Ints, asked: Ints) -> int:
    """Return how many of the rows that calibrate are of the unit of a row that is asked, at most."""
    most, before = 0, np.int64(-1)
    for own in asked:
        if own != before:
            before, count = own, 0
            for unit in of_rows:
                count += unit == own
            most = max(most, count)
    return most


@compiled
def _count_and_place(count: int, level: float) -> Any:
    """Return a number of errors, and which of them, counted from the smallest, ends an interval."""
    return count, max(1, math.ceil((count + 1) * level - _LAST_BIT))


@compiled
def _known(
    predicted: Floats, measured: Floats, held: Ints, of: Ints, rows: Ints, begin: int, errors: Floats, order: Ints
) -> int:
    """Fill in the errors of a part and the places of those that are known; return how many."""
    for place in range(len(rows)):
        errors[begin + place] = predicted[held[of[0], rows[place]]]
    for number in range(1, len(of)):
        for place in range(len(rows)):
            errors[begin + place] += predicted[held[of[number], rows[place]]]
    count = 0
    for place in range(len(rows)):
        error = abs(measured[held[of[0], rows[place]]] - errors[begin + place] / len(of))
        errors[begin + place] = error
        order[begin + count] = begin + place
        count += math.isfinite(error)
    return count


@compiled
def _ends_of_group(
    said: Floats,
    level: float,
    parts: Any,
    calibrating: Any,
    splits: Any,
    asked: Ints,
    units: Any,
    places: Ints,
    lower: Floats,
    upper: Floats,
) -> None:
    """Fill in the ends of the rows of a group, of one column."""
    (numbers, begins, counts), (errors, order, ready), (unit, own) = parts, calibrating, units
    known, count, lengths, kept = counts.sum(), 0, np.zeros_like(begins), np.empty(len(errors))
    taken, near, middles = np.zeros((2, len(begins)), dtype=np.int64), np.full(2, np.inf), np.empty(len(begins))
    before = np.int64(-2)
    for row in asked:
        if own[row] != before:
            before = own[row]
            count = known - _left_out(errors, unit, before)
            for part in range(len(begins)):
                begin, length = begins[part], 0
                for place in order[begin : begin + min(counts[part], ready)]:
                    if unit[place] != before:
                        kept[begin + length] = errors[place]
                        length += 1
                lengths[part] = length
        _, end = _count_and_place(count, level)
        if end > count:
            lower[row], upper[row] = -np.inf, np.inf
            continue
        for part in range(len(begins)):
            first, last = splits[0][numbers[part]], splits[0][numbers[part] + 1]
            total = said[places[splits[1][first], row]]
            for place in range(first + 1, last):
                total += said[places[splits[1][place], row]]
            middles[part] = total / (last - first)
        wanted, shift = count - end + 1, middles.mean()
        upper[row] = _largest(kept, begins, lengths, middles, wanted, taken[0], near[0] + shift)
        for part in range(len(begins)):
            middles[part] = -middles[part]
        lower[row] = -_largest(kept, begins, lengths, middles, wanted, taken[1], near[1] - shift)
        near[0], near[1] = upper[row] - shift, shift - lower[row]


@compiled
def _left_out(errors: Floats, unit: Ints, own: int) -> int:
    """Return how many known errors are of a unit."""
    count = 0
    for place in range(len(errors)):
        count += unit[place] == own and math.isfinite(errors[place])
    return count


@compiled
def _order_largest(errors: Floats, order: Ints, wanted: int) -> None:
    """Put places in order of their errors, the largest first; those after the first ``wanted`` may stay as they are."""
    waiting, start, stop = np.empty(2 * len(order) + 2, dtype=np.int64), 0, len(order)
    depth = 0
    while True:
        while stop - start > _FEW:
            low, middle, high = errors[order[start]], errors[order[(start + stop) // 2]], errors[order[stop - 1]]
            pivot = max(min(low, middle), min(max(low, middle), high))
            left, right = start, stop - 1
            while left <= right:
                while errors[order[left]] > pivot:
                    left += 1
                while errors[order[right]] < pivot:
                    right -= 1
                if left <= right:
                    order[left], order[right] = order[right], order[left]
                    left += 1
                    right -= 1
            if left < wanted and left < stop:
                waiting[depth], waiting[depth + 1] = left, stop
                depth += 2
            stop = right + 1
        for place in range(start + 1, stop):
            moved, other = order[place], place
            while other > start and errors[order[other - 1]] < errors[moved]:
                order[other] = order[other - 1]
                other -= 1
            order[other] = moved
        if not depth:
            return
        depth -= 2
        start, stop = waiting[depth], waiting[depth + 1]


@compiled
def _largest(
    values: Floats, begins: Ints, lengths: Ints, middles: Floats, wanted: int, taken: Ints, near: float
) -> float:
    """Return the ``wanted``-th largest of the values of all parts, each plus the middle of its part.

    Args:
        values: those of a part from its begin on, the largest first.
        begins, lengths, middles: of each part.
        wanted: from 1 on.
        taken: how many of each part are above the end of the row before; those of this row are left in it.
        near: a guess, which costs or saves time alone.
    """
    total, widest = 0, 0
    for part in range(len(begins)):
        widest = part if lengths[part] > lengths[widest] else widest
    for _ in range(_GUESSES):
        total = 0
        for part in range(len(begins)):
            begin, count, length = begins[part], min(taken[part], lengths[part]), lengths[part]
            if not math.isfinite(middles[part]):
                return np.nan
            while count < length and values[begin + count] + middles[part] >= near:
                count += 1
            while count and values[begin + count - 1] + middles[part] < near:
                count -= 1
            taken[part] = count
            total += count
        if abs(total - wanted) <= len(begins) or not total:
            break
        place = max(0, min(lengths[widest] - 1, taken[widest] * wanted // total))
        near = values[begins[widest] + place] + middles[widest]
    while total < wanted:
        best, found = -np.inf, -1
        for part in range(len(begins)):
            if taken[part] < lengths[part] and values[begins[part] + taken[part]] + middles[part] >= best:
                best, found = values[begins[part] + taken[part]] + middles[part], part
        taken[found] += 1
        total += 1
    while True:
        least, found = np.inf, -1
        for part in range(len(begins)):
            if taken[part] and values[begins[part] + taken[part] - 1] + middles[part] <= least:
                least, found = values[begins[part] + taken[part] - 1] + middles[part], part
        if total == wanted:
            return least
        taken[found] -= 1
        total -= 1
