"""Measurements that are not a finite number."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data_tools.pipeline.cells.tables import stored_values, what_is_missing

VALUES = np.array([1.5, np.nan, np.inf, -np.inf, 1e39, 3e38])


def test_what_float32_cannot_hold_is_missing() -> None:
    stored = stored_values(VALUES)
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, np.float32([1.5, np.nan, np.nan, np.nan, np.nan, 3e38]))


def test_missing_and_infinite_are_counted_apart() -> None:
    names = pd.Series(list("abcdef"))
    assert what_is_missing(VALUES, "marker 'M' (area)", names) == (
        "1 of 6 cells have no marker 'M' (area), as cell b; 3 of 6 cells have an infinite marker 'M' (area), or one "
        "beyond 3.4e38, which is stored as missing, as cell c"
    )
    assert what_is_missing(VALUES[:1], "x", names[:1]) == ""
