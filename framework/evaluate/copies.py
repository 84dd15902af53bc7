"""Rows that are copies of other rows: they find each other, whatever their values are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def copies(values: npt.NDArray[np.floating[Any]], names: Sequence[object] | pd.Index[Any], what: str) -> list[str]:
    """Say how many rows have exactly the values of another row.

    Args:
        values: (n, d), finite.
        names: (n,) of the rows.
        what: what a row is, in the plural.

    Returns:
        One sentence, or none where all rows differ.
    """
    of_values: dict[bytes, list[int]] = {}
    for row, each in enumerate(values + 0):  # -0.0 becomes 0.0
        of_values.setdefault(each.tobytes(), []).append(row)
    groups = [rows for rows in of_values.values() if len(rows) > 1]
    if not groups:
        return []
    first, second = (names[row] for row in groups[0][:2])
    return [
        f"{sum(map(len, groups))} of {len(values)} {what} have exactly the values of another one (such as '{first}' "
        f"and '{second}'): as copies they find each other, and scores are too high; leave copies out"
    ]
