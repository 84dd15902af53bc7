"""Signs in numbers: a decimal comma is found, digits in groups of three (``1.000`` for one thousand) are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from framework.files.missing import MISSING

COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+")
_SHORT = re.compile(r"[+-]?\d{1,3}")
JUDGED = 2000
"""Rows that are looked at."""


def number(cell: str, decimal: str) -> float | None:
    """Return the number a cell holds, or None. Python's ``1_000`` is none."""
    if decimal == ",":
        if "." in cell:
            return None
        cell = cell.replace(",", ".")
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def decimal_sign(columns: Iterable[tuple[str, Sequence[str]]], separator: str) -> tuple[str, str]:
    """Return the decimal sign of a table, and a note where it is the comma.

    Args:
        columns: name and first cells of each.
        separator: between cells.
    """
    if separator == ",":
        return ".", ""
    for name, cells in columns:
        with_comma = [cell for cell in cells if "," in cell]
        if not with_comma or not all(COMMA.fullmatch(cell) for cell in with_comma):
            continue
        if any(POINT.fullmatch(cell) for cell in cells) or any(
            number(cell, ",") is None for cell in cells if cell not in MISSING
        ):
            continue
        if separator != ";" and all(_THOUSANDS.fullmatch(cell) for cell in with_comma):
            continue  # 1,234 may be one thousand and more: as a number it is refused
        return ",", f"numbers have a decimal comma, as '{with_comma[0]}' in column '{name}'"
    return ".", ""


def about_decimals(cell: str, decimal: str) -> str:
    """Return what to add about a cell that is not a number because of its decimal sign."""
    if decimal == "." and COMMA.fullmatch(cell):
        return "; if the comma is a decimal comma, write a point, or a comma in all numbers and ; between cells"
    if decimal == "," and POINT.fullmatch(cell):
        return " with a decimal comma, as other columns have; write one decimal sign in all numbers"
    return ""


def grouped_digits(cells: Iterable[str], separator: str) -> str | None:
    """Return a cell that reads as 1 and means one thousand: ``1.000`` beside ``12``, never ``1234`` or ``1.5``.

    Spreadsheets of languages with a decimal comma write so, with a semicolon between cells; other tables pass.
    """
    if separator != ";":
        return None
    first, short = None, False
    for cell in cells:
        if _GROUPED.fullmatch(cell):
            first = first or cell
        elif _SHORT.fullmatch(cell):
            short = True
        elif cell not in MISSING:
            return None
    return first if short else None
