"""One spelling of a well: row letters and a two-digit column (``A01``), whatever a vendor or a plate map writes."""

from __future__ import annotations

import re

from framework.errors import InputError

_WELL = re.compile(r"^\s*([A-Za-z]{1,2})\s?0*([1-9][0-9]?)\s*$")
_ROW_COLUMN = re.compile(r"^\s*[rR]0*([1-9][0-9]?)[\s_-]*[cC]0*([1-9][0-9]?)\s*$")
_MAX_ROWS, _MAX_COLUMNS = 32, 48  # a 1536-well plate, the largest in use


def row_letters(row: int) -> str:
    """Return the letters of a row counted from 1: 1 is A, 26 is Z, 27 is AA.

    Raises:
        InputError: ``row`` lies outside 1..32.
    """
    if not 1 <= row <= _MAX_ROWS:
        raise InputError(f"plate row {row}: expected 1 to {_MAX_ROWS} (A to AF)")
    return chr(64 + row) if row <= 26 else "A" + chr(64 + row - 26)


def row_number(letters: str) -> int:
    """Return the row of its letters, counted from 1 (A is 1, AF is 32).

    Raises:
        InputError: not the letters of a row of a 1536-well plate.
    """
    upper = letters.upper()
    number = 0
    for letter in upper:
        number = number * 26 + ord(letter) - 64
    if not upper.isalpha() or not upper.isascii() or not 1 <= number <= _MAX_ROWS:
        raise InputError(f"plate row '{letters}': expected letters A to AF")
    return number


def normalise_well(well: str | tuple[int, int]) -> str:
    """Return the one spelling of a well.

    Args:
        well: ``a1``, ``A1``, ``a01``, ``A001``, ``A 1``, ``r01c01`` or (row, column), both counted from 1.

    Returns:
        ``A01``; rows go to AF, columns to 48 (1536 wells).

    Raises:
        InputError: not a well of a plate.
    """
    if isinstance(well, tuple):
        row, column = well
        letters = row_letters(row)
    else:
        both = _ROW_COLUMN.match(well)
        if both is not None:
            return normalise_well((int(both[1]), int(both[2])))
        match = _WELL.match(well)
        if match is None:
            raise InputError(f"'{well}' is not a well; expected letters and a number, as in A01, b7 or r01c01")
        letters, column = row_letters(row_number(match[1])), int(match[2])
    if not 1 <= column <= _MAX_COLUMNS:
        raise InputError(f"plate column {column}: expected 1 to {_MAX_COLUMNS}")
    return f"{letters}{column:02d}"


def is_well(text: str) -> bool:
    """Return whether ``normalise_well`` takes a text."""
    try:
        normalise_well(text)
    except InputError:
        return False
    return True


def well_order(well: str) -> tuple[int, int]:
    """Return (row, column) of a normalised well: the sort key that puts AA01 after Z48."""
    return row_number(well[:-2]), int(well[-2:])


def well_of(row: str, column: str) -> str:
    """Return the one spelling of a well whose row (letters or a number) and column are told apart.

    Raises:
        InputError: not a well of a plate.
    """
    row, column = (re.sub(r"(?<=[0-9])\.0+$", "", cell.strip("\"'")) for cell in (row, column))
    if row.isdecimal() and column.isdecimal():
        return normalise_well((int(row), int(column)))
    if not column.isdecimal():
        raise InputError(
            f"row '{row}' and column '{column}' are not a well; expected letters or a number, and a number"
        )
    return normalise_well(f"{row}{column}")
