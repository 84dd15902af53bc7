"""How pages write numbers: one place, so that a value looks the same wherever it stands."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pandas as pd

UNKNOWN = "–"
"""What stands where a value is not defined."""


def count(value: Any) -> str:
    """Return a whole number with thin separators, anything else as text."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if isinstance(value, int) else str(value)


def duration(seconds: float) -> str:
    """Return ``1 h 02 min``, ``3 min 20 s`` or ``12.3 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = datetime.timedelta(seconds=round(seconds))
    minutes, rest = divmod(int(whole.total_seconds()), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def number(value: Any, form: str = ".2f") -> str:
    """Return a formatted number, or a dash for what is not defined."""
    return UNKNOWN if value is None or pd.isna(value) else format(value, form)


def interval(row: Mapping[Any, Any], name: str, form: str = ".2f") -> str:
    """Return ``value (low, high)`` of ``name``, ``name_low`` and ``name_high``.

    There are no brackets where there are no bounds, or both are equal.
    """
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    middle = number(row.get(name), form)
    if low is None or high is None or pd.isna(low) or pd.isna(high) or low == high:
        return middle
    return f"{middle} ({number(low, form)}, {number(high, form)})"
