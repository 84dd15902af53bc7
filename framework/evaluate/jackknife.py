"""Intervals from several splits: rows that splits held out calibrate the others that the same splits held out.

Jackknife+ after the bootstrap (Kim et al. 2020, eq. 3; Barber et al. 2021, eq. 1.4), with splits in the place of
resamples. Of a row and of each calibrating row the mean over the splits that held out both is asked; the ends of the
interval are quantiles, over calibrating rows, of what that mean says of the row, plus and minus what it missed the
calibrating row by. A share of at least 1 - 2 (1 - level) is held whatever the model is, and about ``level`` in
practice. No part is set aside for it: what splits test calibrates.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from framework.data.cores import decoders_per_process
from framework.evaluate.column_ends import Asked, Ints, Lists, ends_of_columns
from framework.evaluate.conformal import Names
from framework.evaluate.metrics import Floats

_VALUES_AT_ONCE = 100_000
"""Of a table that a thread turns at a time: 0.8 MB, near the caches."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """What one split held out.

    Attributes:
        key: (n,) names of rows, the same in all splits.
        unit: (n,) rows of one unit never calibrate each other: they are held out together.
        predicted: (n, P).
        measured: (n, P), NaN where nothing was measured.
    """

    key: Names
    unit: Names
    predicted: Floats
    measured: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Ends:
    """Ends of intervals, (n, P); infinite where too few rows calibrate."""

    lower: Floats
    upper: Floats


class Splits:
    """What several splits held out, ready to calibrate.

    Args:
        held: one per split.
    """

    def __init__(self, held: Sequence[HeldOut]) -> None:
        self.held = held
        self._mine: list[Ints] = []
        names = list(dict.fromkeys(key for each in held for key in each.key.tolist()))
        place = {name: number for number, name in enumerate(names)}
        unit = np.empty(len(names), dtype=object)
        self._row = np.full((len(held), len(names)), -1, dtype=np.int64)
        for number, each in enumerate(held):
            mine = np.array([place[key] for key in each.key.tolist()], dtype=np.int64)
            self._row[number, mine], unit[mine] = np.arange(len(mine)), each.unit
            self._mine.append(mine)
        starts = np.cumsum([0, *(len(each.key) for each in held[:-1])], dtype=np.int64)
        # (splits, n) among the held-out rows of all splits, one after another.
        self._places = np.where(self._row >= 0, self._row + starts[:, None], -1)
        self._unit = np.unique(unit.astype(str), return_inverse=True)[1].astype(np.int64)

    def ends(self, level: float) -> list[Ends]:
        """Return the intervals of the rows of each split; a row that several held out has one, from all of them."""
        held, by = np.unique(self._row.T >= 0, axis=0, return_inverse=True)
        # Rows of one unit stand together, so that what they must not be calibrated by is counted once.
        groups = [
            (np.flatnonzero(splits), rows[np.argsort(self._unit[rows], kind="stable")])
            for splits, rows in ((splits, np.flatnonzero(by.ravel() == group)) for group, splits in enumerate(held))
        ]
        asked = self._asked(groups, self._unit, self._places)
        ends = self._columns(asked, [each.predicted for each in self.held], level)
        return [Ends(lower=ends.lower[mine], upper=ends.upper[mine]) for mine in self._mine]

    def ends_of_new(self, predicted: Sequence[Floats], level: float) -> Ends:
        """Return the intervals of rows that no split has learned from; ``predicted`` by each split (t, P)."""
        rows, splits = np.arange(len(predicted[0])), np.arange(len(self.held))
        said = rows + len(rows) * splits[:, None]
        asked = self._asked([(splits, rows)], np.full(len(rows), -1, dtype=np.int64), said)
        return self._columns(asked, predicted, level)

    def _asked(self, groups: Sequence[tuple[Ints, Ints]], own: Ints, said: Ints) -> Asked:
        """Return which rows calibrate which; ``groups`` are splits with the rows that are asked of them."""
        parts: list[tuple[Ints, Ints]] = []
        firsts = [0]
        for splits, _ in groups:
            patterns, of = np.unique(self._row[splits].T >= 0, axis=0, return_inverse=True)
            parts += [
                (splits[pattern], np.flatnonzero(of.ravel() == number))
                for number, pattern in enumerate(patterns)
                if pattern.any()
            ]
            firsts.append(len(parts))
        return Asked(
            groups=np.array(firsts, dtype=np.int64),
            calibrating=Lists.of([rows for _, rows in parts]),
            splits=Lists.of([splits for splits, _ in parts]),
            rows=Lists.of([rows for _, rows in groups]),
            unit=self._unit,
            own=own,
            held=self._places,
            said=said,
        )

    def _columns(self, asked: Asked, said: Sequence[Floats], level: float) -> Ends:
        """Return the ends of all columns, a few columns at a time on each core."""
        columns = self.held[0].predicted.shape[1]
        lower, upper = (np.empty((asked.said.shape[1], columns)) for _ in range(2))
        width = max(1, _VALUES_AT_ONCE // max(1, sum(map(len, said))))
        predicted, measured = [each.predicted for each in self.held], [each.measured for each in self.held]

        def some(start: int) -> None:
            mine = slice(start, start + width)
            guessed, known, said_here = (_by_column(each, mine) for each in (predicted, measured, said))
            low, high = ends_of_columns(asked, guessed, known, said_here, level)
            lower[:, mine], upper[:, mine] = low.T, high.T

        with ThreadPoolExecutor(decoders_per_process(), "wellstream-intervals") as threads:
            list(threads.map(some, range(0, columns, width)))
        return Ends(lower=lower, upper=upper)


def _by_column(tables: Sequence[Floats], columns: slice) -> Floats:
    """Return some columns of the rows of all tables, (P, rows), the values of a column side by side."""
    return np.concatenate([table[:, columns] for table in tables]).T.copy()
