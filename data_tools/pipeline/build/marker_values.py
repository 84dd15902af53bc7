"""Measurements of cells as they are stored: what is no finite number is missing, and is counted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

F32 = npt.NDArray[np.float32]


def stored_values(values: npt.NDArray[np.float64]) -> F32:
    """Return numbers as float32; infinite ones, and those beyond its range (3.4e38), as NaN."""
    with np.errstate(over="ignore"):
        stored: F32 = values.astype(np.float32)
    return np.where(np.isfinite(stored), stored, np.float32(np.nan)).astype(np.float32)


def what_is_missing(values: npt.NDArray[np.float64], name: str, cells: pd.Series[str]) -> str:
    """Say how many cells have no finite number: ``3 of 9 cells have no 'area', as cell 4``; empty where all have one.

    Args:
        values: float64 (n,), NaN where there is none.
        name: as the sentence calls the measurement.
        cells: (n,) names.
    """
    missing, stored = np.isnan(values), stored_values(values)
    infinite = np.isnan(stored) & ~missing
    found = []
    for which, text in (
        (missing, f"have no {name}"),
        (infinite, f"have an infinite {name}, or one beyond 3.4e38, which is stored as missing"),
    ):
        if which.any():
            example = cells.iloc[int(np.flatnonzero(which)[0])]
            found.append(f"{int(which.sum())} of {len(values)} cells {text}, as cell {example}")
    return "; ".join(found)
