"""Facts that stand in file names: the named groups of one regular expression."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from data_tools.readers.cells_base import TEXT, metadata_name
from framework.errors import InputError

NUMBER = "number"
"""Column of ``match_names``: position of a file in the list of names."""


def check_pattern(pattern: str, needed: tuple[str, ...], lower_case: tuple[str, ...]) -> None:
    """Check a pattern while a config is read.

    Raises:
        ValueError: no regular expression, a group that is needed is not there, or two make the same column.
    """
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"'pattern' is no regular expression: {error}") from None
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
    """Return a row a name that matches as a whole: a column of text a group, and ``NUMBER``; and the names that do not.

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


def misfit(pattern: re.Pattern[str], name: str) -> str:
    """Return where a name that does not match stops fitting, and what the pattern expects there."""
    first = f"the first is {name}"
    if re.compile(pattern.pattern, pattern.flags | re.IGNORECASE).fullmatch(name):
        return f"{first}, which differs in upper and lower case only; begin 'pattern' with (?i)"
    for end in range(len(pattern.pattern), 0, -1):
        try:
            fits = re.compile(pattern.pattern[:end], pattern.flags & re.IGNORECASE).match(name)
        except (re.error, OverflowError):
            continue
        if fits is None:
            continue
        rest = pattern.pattern[end:]
        if not rest:
            return f"{first}, of which the pattern leaves out '{name[fits.end() :]}' at the end"
        where = f"fits up to '{fits[0]}'" if fits[0] else "does not fit from its beginning"
        return f"{first}, which {where}; then the pattern expects {rest!r}"
    return f"{first}, which does not fit from its beginning"


def labels_of(files: pd.DataFrame) -> pd.DataFrame:
    """Return the groups of ``match_names`` as ``Metadata_*`` columns."""
    groups = [name for name in files.columns if name not in ("channel", NUMBER)]
    return files[groups].rename(columns={name: metadata_name(name) for name in groups}).reset_index(drop=True)


def missed_note(shown: str, names: list[str], missed: list[str]) -> tuple[str, ...]:
    """Return the sentence about images whose name does not match."""
    if not missed:
        return ()
    return (f"{shown}: {len(missed)} of {len(names)} images do not match the pattern and are not read, as {missed[0]}",)
