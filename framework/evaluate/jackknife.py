"""Intervals from several splits: rows that splits held out calibrate the others that the same splits held out.

Jackknife+ after the bootstrap (Kim et al. 2020, eq. 3; Barber et al. 2021, eq. 1.4), with splits in the place of
resamples. Of a row and of each calibrating row the mean over the splits that held out both is asked; the ends of the
interval are quantiles, over calibrating rows, of what that mean says of the row, plus and minus what it missed the
calibrating row by. A share of at least 1 - 2 (1 - level) is held whatever the model is, and about ``level`` in
practice. No part is set aside for it: what splits test calibrates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.evaluate.conformal import Names, half_widths
from framework.evaluate.metrics import Floats

Ints = npt.NDArray[np.int64]


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


def ends_of(parts: Sequence[tuple[Floats, Floats]], level: float) -> Ends:
    """Return the intervals of some rows.

    Args:
        parts: what splits say of the rows (t, P), with the absolute errors (n, P) of the rows that calibrate it; NaN
            where unknown.
        level: share that the intervals shall hold, 0..1.
    """
    if len(parts) == 1:
        ((middle, errors),) = parts
        width = half_widths(errors, level)
        return Ends(lower=middle - width, upper=middle + width)
    lower, upper = (np.empty(parts[0][0].shape) for _ in range(2))
    for row in range(len(lower)):
        upper[row] = half_widths(np.concatenate([errors + middle[row] for middle, errors in parts]), level)
        lower[row] = -half_widths(np.concatenate([errors - middle[row] for middle, errors in parts]), level)
    return Ends(lower=lower, upper=upper)


class Splits:
    """What several splits held out, ready to calibrate.

    Args:
        held: one per split.
    """

    def __init__(self, held: Sequence[HeldOut]) -> None:
        self.held = held
        names = list(dict.fromkeys(key for each in held for key in each.key.tolist()))
        place = {name: number for number, name in enumerate(names)}
        self._unit = np.empty(len(names), dtype=object)
        self._row = np.full((len(held), len(names)), -1, dtype=np.int64)
        for number, each in enumerate(held):
            mine = np.array([place[key] for key in each.key.tolist()], dtype=np.int64)
            self._row[number, mine], self._unit[mine] = np.arange(len(mine)), each.unit

    def ends(self, level: float) -> list[Ends]:
        """Return the intervals of the rows of each split; a row that several held out has one, from all of them."""
        found = [Ends(lower=np.empty(each.predicted.shape), upper=np.empty(each.predicted.shape)) for each in self.held]
        for rows in self._alike():
            splits = np.flatnonzero(self._row[:, rows[0]] >= 0)
            parts = self._parts(splits, self._unit != self._unit[rows[0]])
            ends = ends_of([(self._mean(of, rows), errors) for of, errors in parts], level)
            for split in splits:
                mine = self._row[split, rows]
                found[split].lower[mine], found[split].upper[mine] = ends.lower, ends.upper
        return found

    def ends_of_new(self, predicted: Sequence[Floats], level: float) -> Ends:
        """Return the intervals of rows that no split has learned from; ``predicted`` by each split (t, P)."""
        parts = self._parts(np.arange(len(self.held)), np.ones(len(self._unit), dtype=np.bool_))
        return ends_of([(np.mean([predicted[one] for one in of], axis=0), errors) for of, errors in parts], level)

    def _alike(self) -> list[Ints]:
        """Return rows of one unit that the same splits held out, together: their calibration is the same."""
        found: dict[tuple[str, bytes], list[int]] = {}
        for row, unit in enumerate(self._unit.tolist()):
            found.setdefault((unit, (self._row[:, row] >= 0).tobytes()), []).append(row)
        return [np.array(rows, dtype=np.int64) for rows in found.values()]

    def _parts(self, splits: Ints, allowed: npt.NDArray[np.bool_]) -> list[tuple[Ints, Floats]]:
        """Return some of ``splits``, with the errors of the rows among ``allowed`` that just these held out."""
        held = self._row[splits] >= 0
        code = held.T.astype(np.int64) @ (1 << np.arange(len(splits), dtype=np.int64))
        found = []
        for pattern in np.unique(code[(code > 0) & allowed]):
            rows = np.flatnonzero((code == pattern) & allowed)
            of = splits[held[:, rows[0]]]
            measured = self.held[of[0]].measured[self._row[of[0], rows]]
            found.append((of, np.abs(measured - self._mean(of, rows))))
        return found

    def _mean(self, splits: Ints, rows: Ints) -> Floats:
        mean: Floats = np.mean([self.held[one].predicted[self._row[one, rows]] for one in splits], axis=0)
        return mean
