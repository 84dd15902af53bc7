"""How numbers are written for people: one place, so that a value looks the same wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN = "–"
"""What stands where a value is not defined."""


def count(value: Any) -> str:
    """Return a whole number with thin separators, anything else as text."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if isinstance(value, int) else str(value)


def count_of(n: int, what: str) -> str:
    """Return ``1 note`` or ``3 notes`` of a word that takes an s."""
    return f"{count(n)} {what}{'' if n == 1 else 's'}"


def byte_size(nbytes: int) -> str:
    """Return ``3.7 MB``: three digits with the largest unit that leaves a number of 1 or more, in powers of 1000."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= 0.9995 * factor:
            return f"{nbytes / factor:.3g} {unit}"
    return f"{nbytes} bytes"


def measure(value: Any) -> str:
    """Return a measured value with four digits, and whole where it has more of them: ``0.1234``, ``16 770``."""
    if _is_missing(value) or not 1e4 <= abs(value) < 1e15:
        return significant(value)
    return count(round(value))


def duration(seconds: float) -> str:
    """Return ``1 h 02 min``, ``3 min 20 s`` or ``12.3 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def known(value: Any) -> float:
    """Return a number; NaN for what is not defined."""
    return float("nan") if _is_missing(value) else float(value)


def least(*values: Any) -> float:
    """Return the least of the numbers that are defined; NaN where none is."""
    found = [known(value) for value in values]
    return min((value for value in found if value == value), default=float("nan"))


def number(value: Any, form: str = ".2f") -> str:
    """Return a formatted number, or a dash for what is not defined."""
    return UNKNOWN if _is_missing(value) else format(value, form)


def _is_missing(value: Any) -> bool:
    """Return whether a value is None, NaN or pandas' NA, without loading pandas: the help of a command is made here."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # NA is neither true nor false
        return True


def significant(value: Any, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits and no zeros after them."""
    return number(value, f".{digits}g")


def percent(value: Any, digits: int = 1) -> str:
    """Return a share of 0..1 as ``12.3%``."""
    return number(value, f".{digits}%")


def interval(row: Mapping[Any, Any], name: str, form: str = ".2f", brackets: str = "()") -> str:
    """Return ``value (low, high)`` of ``name``, ``name_low`` and ``name_high``.

    There are no brackets where there are no bounds, or both are equal.
    """
    middle = number(row.get(name), form)
    ends = _ends(row, name)
    if ends is None:
        return middle
    return f"{middle} {brackets[0]}{number(ends[0], form)}, {number(ends[1], form)}{brackets[1]}"


def percent_interval(row: Mapping[Any, Any], name: str) -> str:
    """Return ``40.0% [20.0, 60.0]``: a share of 0..1 with its bounds in per cent, for a narrow column."""
    return percent(row.get(name)) + percent_bounds(row, name)


def percent_bounds(row: Mapping[Any, Any], name: str) -> str:
    """Return `` [20.0, 60.0]``, the bounds of a share in per cent; empty where there are none, or both are equal."""
    ends = _ends(row, name)
    return "" if ends is None else f" [{number(100 * ends[0], '.1f')}, {number(100 * ends[1], '.1f')}]"


def _ends(row: Mapping[Any, Any], name: str) -> tuple[Any, Any] | None:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    if _is_missing(low) or _is_missing(high) or low == high:
        return None
    return low, high
