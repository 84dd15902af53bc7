"""Names of cells and genes as they come in pieces of a table of transcripts: numbered, and as people mean them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError
from framework.files.text_values import text_values

_WHOLE = re.compile(r"(-?[0-9]+)\.0+")
_SHORTENED = re.compile(r"[0-9](\.[0-9]+[eE]\+?|[eE]\+)[0-9]+")


def cell_names(names: Sequence[str]) -> list[str]:
    """Return names of cells; numbers that a program wrote as ``7.0``, because some were missing, are ``7`` again."""
    return [found[1] if (found := _WHOLE.fullmatch(name)) else name for name in names]


def refuse_shortened(names: Sequence[str], path: str) -> None:
    """Refuse names as ``1.23E+18``: long numbers that lost digits, so that several cells share a name.

    Raises:
        InputError: such a name.
    """
    short = [name for name in names if _SHORTENED.fullmatch(name)]
    if short:
        raise InputError(
            f"{path}: {len(short)} cells are called as numbers that lost digits, as '{short[0]}', so several cells may "
            "share one name; export the table again, with the names of cells as text or as whole numbers"
        )


def any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return one expression for several patterns, ``*`` for any text; without a pattern it matches nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


def named_by_field(
    field: pd.Series[Any], cell: npt.NDArray[np.intp], cells: list[str]
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return places and names of cells as ``FIELD_CELL``."""
    place, fields = levels(field)
    pairs, codes = np.unique(place * max(1, len(cells)) + cell, return_inverse=True)
    names = [f"{fields[pair // len(cells)]}_{cells[pair % len(cells)]}" for pair in pairs.tolist()]
    return codes.astype(np.intp), names


def levels(column: pd.Series[Any]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return the place of each value in the list of texts; blanks are the text ``""``."""
    codes, unique = pd.factorize(column, use_na_sentinel=False)
    return codes, [str(text) for text in text_values(pd.Series(unique))]


def numbered(names: Sequence[str], known: dict[str, int]) -> npt.NDArray[np.int32]:
    """Return the number of each name in ``known``, which grows."""
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int32)


def used(names: list[str], codes: npt.NDArray[np.int32]) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Return the names that occur, sorted, and the place of each value among them."""
    used = sorted(np.unique(codes).tolist(), key=names.__getitem__)
    place = np.zeros(len(names), dtype=np.int32)
    place[used] = np.arange(len(used), dtype=np.int32)
    return [names[code] for code in used], place[codes]
