"""From columns of cells to what a look says of them: counts by label, measurements, places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.look.values import Floats, Measured

_PLACES = 4_000
_LIKE_NAMES = 0.5
"""A column with more values than this share of the cells names them, and counts nothing."""


def label_counts(
    columns: Mapping[str, pd.Series[Any]], cells: npt.NDArray[np.int64] | None = None
) -> dict[str, dict[str, int]]:
    """Return for each column of text how many cells have each value, the most frequent first.

    Args:
        columns: name -> (n,) text.
        cells: int64 (n,), for how many cells each row stands; default: for one.

    Returns:
        Nothing of columns that are blank everywhere, or that name nearly every cell.
    """
    found: dict[str, dict[str, int]] = {}
    for name, column in columns.items():
        weight = np.ones(len(column), np.int64) if cells is None else cells
        counts = pd.Series(weight).groupby(column.fillna("").astype(str).to_numpy()).sum()
        counts = counts[counts > 0].sort_values(ascending=False, kind="stable")
        named = counts[counts.index != ""]
        if len(named) and len(named) <= max(2.0, _LIKE_NAMES * counts.sum()):
            found[name] = {str(value): int(n) for value, n in counts.items()}
    return found


def names_of_bags(sources: Sequence[str], bags: Sequence[str]) -> list[str]:
    """Return what bags are called on a page: ``source/bag`` where there is more than one source."""
    alone = len(set(sources)) == 1
    return [bag if alone else f"{source}/{bag}" for source, bag in zip(sources, bags, strict=True)]


def measured(values: npt.NDArray[Any]) -> Measured:
    """Return what is known of a measurement (n,), NaN where a cell has none."""
    finite = values[np.isfinite(values)].astype(np.float64)
    low, middle, high = np.percentile(finite, (1, 50, 99)) if len(finite) else (np.nan,) * 3
    return Measured(n=len(finite), low=float(low), middle=float(middle), high=float(high))


def some_places(y: npt.NDArray[Any], x: npt.NDArray[Any]) -> Floats:
    """Return up to 4,000 of the places (n,) that are known, evenly taken, as (m, 2) y and x."""
    known = np.flatnonzero(np.isfinite(y) & np.isfinite(x))
    taken = known[:: max(1, -(-len(known) // _PLACES))]
    return np.stack([y[taken], x[taken]], axis=1).astype(np.float64)
