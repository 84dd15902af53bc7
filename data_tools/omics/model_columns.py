"""Columns of a linear model: batches coded to sum to zero, covariates centred, and which of them add anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]
_TOLERANCE = 1e-7
"""Share of its length that a column must have left beside those before it, as in R's ``lm.fit``."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        factor: name of the batch factor or covariate.
        coded: float64 (S,), 1 for a level, -1 for the last one, 0 for all others; or a centred covariate.
        levels: (S,) of the factor; None for a covariate.
    """

    factor: str
    coded: F64
    levels: Text | None


def of_batches(batches: Mapping[str, Text]) -> list[Column]:
    """Return one column less than a factor has levels (R's ``contr.sum``), factor by factor."""
    columns = []
    for name, batch in batches.items():
        levels = sorted(set(batch))
        last = (batch == levels[-1]).astype(float) if levels else np.zeros(0)
        columns += [Column(factor=name, coded=(batch == level) - last, levels=batch) for level in levels[:-1]]
    return columns


def of_covariates(covariates: Mapping[str, F64]) -> list[Column]:
    """Return a centred column per covariate."""
    return [Column(factor=name, coded=values - values.mean(), levels=None) for name, values in covariates.items()]


def free_columns(within: F64, whole: F64) -> list[int]:
    """Return the columns that add rank to the design and to each other, first come first served.

    Args:
        within: (S, C), the columns without what the design's group means explain.
        whole: (S, C), the columns as they are.
    """
    if not len(within):
        return []
    least = _TOLERANCE * np.maximum(np.linalg.norm(whole, axis=0), np.finfo(np.float64).tiny)
    n_columns = within.shape[1]
    if n_columns <= len(within):
        rests = np.abs(np.diagonal(np.linalg.qr(within, mode="r")))
        if (rests >= least).all():
            return list(range(n_columns))
    free: list[int] = []
    basis = np.zeros((len(within), 0))
    for column in range(n_columns):
        rest = within[:, column]
        for _ in range(2):  # the second pass takes out what rounding left
            rest = rest - basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        if length >= least[column]:
            free.append(column)
            basis = np.concatenate([basis, (rest / length)[:, None]], axis=1)
    return free
