"""Intervals of expression: the errors on single cells that were held out calibrate them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.errors import InputError
from framework.evaluate.conformal import half_widths, least_rows
from framework.expression.forest import MedianForest
from framework.expression.single_cells import SingleCells
from framework.format import percent

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]


def need_held_out(cells: SingleCells, level: float | None) -> None:
    """Raises InputError: too few single cells are held out for intervals of this level."""
    held_out = int((~cells.train).sum())
    if level is not None and held_out < 2 * least_rows(level):
        raise InputError(
            f"interval {level:g}: needs {2 * least_rows(level)} held-out single cells, half of them to "
            f"calibrate and half to test the interval, found {held_out}; raise test_fraction, or lower "
            "interval"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What held-out single cells say of the intervals.

    Attributes:
        level: share of values that intervals shall hold.
        errors: (n, G) absolute errors of all held-out cells, which calibrate the intervals of imaged cells.
        covered: (G,) share of values that is held where one half of these cells calibrates and the other is counted.
    """

    level: float
    errors: Floats
    covered: Floats

    @classmethod
    def of(cls, cells: SingleCells, forest: MedianForest, level: float, seed: int) -> Calibration:
        """Return it from the cells that the forest did not see; ``seed`` deals them into halves."""
        test = np.flatnonzero(~cells.train)
        half = len(test) // 2
        errors = np.abs(forest.predict(cells.scaled[test]).astype(np.float64) - cells.expression[test])
        order = np.random.default_rng(seed).permutation(len(test))
        width = half_widths(errors[order[:half]], level)
        return cls(level=level, errors=errors, covered=(errors[order[half:]] <= width).mean(axis=0))

    def held(self, predicted: Single, truth: Single) -> Floats:
        """Return the share of true values (c, G) that the intervals around predictions hold, per gene (G,)."""
        genes = truth.shape[1]
        width = half_widths(self.errors[:, :genes], self.level)
        share: Floats = (np.abs(predicted.astype(np.float64) - truth) <= width).mean(axis=0)
        return share

    def notes(self, of_truth: Mapping[str, Floats]) -> list[str]:
        """Return what a reader must know; ``of_truth`` are the shares of imaged cells, per kind of markers."""
        nominal = f"intervals of nominal {percent(self.level)}"
        middle = [percent(float(np.quantile(self.covered, at))) for at in (0.025, 0.975)]
        said = [
            f"{nominal} hold {percent(float(self.covered.mean()))} of the values of held-out single cells "
            f"({middle[0]} to {middle[1]} for the middle 95 % of genes); one half of these cells calibrates, the other "
            "is counted"
        ]
        if of_truth:
            told = ", ".join(f"{percent(float(held.mean()))} by {mode} markers" for mode, held in of_truth.items())
            said.append(
                f"imaged cells are not exchangeable with sequenced ones, so nothing is promised there: {nominal} hold "
                f"{told} of the true values"
            )
        return said
