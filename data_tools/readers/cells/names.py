"""Facts that stand in file names: the named groups of one regular expression."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from data_tools.readers.cells.base import TEXT, metadata_name
from data_tools.readers.patterns import groups_of, misfit
from framework.errors import InputError

NUMBER = "number"
"""Column of ``match_names``: position of a file in the list of names."""


def check_pattern(pattern: str, needed: tuple[str, ...], lower_case: tuple[str, ...]) -> None:
    """Check a pattern while a config is read.

    Raises:
        ValueError: no regular expression, a group that is needed is not there, or two make the same column.
    """
    groups = groups_of(pattern)
    missing = [name for name in needed if name not in groups]
    if missing:
        raise ValueError(f"'pattern' lacks the group(s) {', '.join(f'(?P<{name}>...)' for name in missing)}")
    names = [metadata_name(name) for name in sorted(groups - {"channel"})]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"'pattern' has two groups for the column {twice[0]}")
    if NUMBER in groups:
        raise ValueError(f"'pattern' has a group '{NUMBER}'; give it another name, as cell or field")
    unknown = [name for name in lower_case if name not in groups]
    if unknown:
        raise ValueError(f"'lower_case' names '{unknown[0]}', which is no group of 'pattern'")


def match_names(
    shown: str, names: list[str], pattern: re.Pattern[str], lower_case: tuple[str, ...]
) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per name that matches as a whole, and the names that do not.

    A row has one column of text per group, and ``NUMBER``.

    Raises:
        InputError: none matches.
    """
    groups = sorted(pattern.groupindex, key=pattern.groupindex.__getitem__)
    values: list[tuple[str | None, ...]] = []
    numbers, missed = [], []
    places = [pattern.groupindex[group] for group in groups]
    for number, name in enumerate(names):
        match = pattern.fullmatch(name)
        if match is None:
            missed.append(name)
            continue
        values.append(tuple(match[place] for place in places))
        numbers.append(number)
    if not numbers:
        raise InputError(
            f"{shown}: none of its {len(names)} images matches {pattern.pattern!r}; {misfit(pattern, names[0])}; "
            "correct 'pattern', which must match the whole path below the folder"
        )
    columns: dict[str, Any] = {
        group: pd.Series([row[place] or "" for row in values], dtype=TEXT) for place, group in enumerate(groups)
    }
    for group in lower_case:
        columns[group] = columns[group].str.lower().astype(TEXT)
    return pd.DataFrame({**columns, NUMBER: np.asarray(numbers, dtype=np.int64)}), missed


def labels_of(files: pd.DataFrame) -> pd.DataFrame:
    """Return the groups of ``match_names`` as ``Metadata_*`` columns."""
    groups = [name for name in files.columns if name not in ("channel", NUMBER)]
    return files[groups].rename(columns={name: metadata_name(name) for name in groups}).reset_index(drop=True)
