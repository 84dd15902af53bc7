"""Images below a folder whose names hold facts: the named groups of one regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.readers.cells.base import TEXT, CellProblem, metadata_name
from data_tools.readers.folder import IMAGE_SUFFIXES, images_below
from data_tools.readers.patterns import compiled, groups_of, matched, misfit, missed_note
from framework.errors import InputError

CHANNEL = "channel"
"""Group of a pattern, and column of ``match_names``, that makes no label."""
NUMBER = "number"
"""Column of ``match_names``: position of a file in the list of names."""


@dataclass(frozen=True, kw_only=True)
class NamedImages:
    """The images below a folder whose names match a pattern.

    Attributes:
        shown: the folder as the config names it.
        root: the folder, absolute.
        names: names of all images, below the folder.
        facts: int64 (n, 2), size and time of change of each.
        files: files of the names that match, as ``match_names`` returns them.
        notes: sentences on what was passed over.
    """

    shown: str
    root: Path
    names: list[str]
    facts: npt.NDArray[np.int64]
    files: pd.DataFrame
    notes: tuple[str, ...]

    def places(self, numbers: npt.NDArray[np.int64], suffix: str = "") -> dict[str, Any]:
        """Return the columns ``file``, ``bytes`` and ``mtime_ns`` of images (n,), each name followed by ``suffix``."""
        files = pd.Series([str(self.root / self.names[number]) for number in numbers], dtype=TEXT)
        sizes, times = self.facts[numbers].T
        return {f"file{suffix}": files, f"bytes{suffix}": sizes, f"mtime_ns{suffix}": times}


def named_images(
    path: str, pattern: str, lower_case: tuple[str, ...] = (), suffixes: Sequence[str] = IMAGE_SUFFIXES
) -> NamedImages:
    """List the images below a folder, and match their names.

    Raises:
        InputError: no folder, no image in it, or no name that matches.
    """
    root = Path(path).absolute()
    listed = images_below(root, path, suffixes)
    files, missed = match_names(path, listed.names, compiled(pattern), lower_case)
    notes = (*listed.notes, *missed_note(path, listed.names, missed))
    return NamedImages(shown=path, root=root, names=listed.names, facts=listed.facts, files=files, notes=notes)


def join_channels(
    found: NamedImages, keys: Sequence[str], what: str
) -> tuple[pd.DataFrame, pd.DataFrame, list[CellProblem]]:
    """Join images that differ in their channel alone.

    Args:
        found: the images.
        keys: texts of the column ``channel`` that must all be there; one empty text for a pattern without it,
            whose images have all channels.
        what: they show together, as ``cell``.

    Returns:
        Labels and places of what has every channel, and a problem for each image or group of images left out.
    """
    files, number = found.files, found.files[NUMBER].to_numpy()
    code = files.groupby(_labels(files), sort=False).ngroup().to_numpy()
    first = np.unique(code, return_index=True)[1]
    chosen = np.full((len(first), len(keys)), -1, dtype=np.int64)
    problems: list[CellProblem] = []
    for position, key in enumerate(keys):
        rows = np.flatnonzero((files[CHANNEL] == key).to_numpy()) if CHANNEL in files else np.arange(len(files))
        # Of two files for one place the first by name is kept: written last, it stands.
        chosen[code[rows[::-1]], position] = number[rows[::-1]]
        again = rows[chosen[code[rows], position] != number[rows]]
        problems += [_duplicate(found, number[row], chosen[code[row], position], what, key) for row in again]
    whole = (chosen >= 0).all(axis=1)
    for row in np.flatnonzero(~whole):
        lacking = [key for key, there in zip(keys, chosen[row] >= 0, strict=True) if not there]
        problems.append(_incomplete(found, number[first[row]], lacking, what))
    places: dict[str, Any] = {}
    for position, key in enumerate(keys):
        places |= found.places(chosen[whole, position], f" {key}")
    return labels_of(files.iloc[first[whole]]), pd.DataFrame(places), problems


def files_of_rows(places: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[int, list[Path]]]:
    """Yield each row of the places of ``join_channels`` with its files, in the order of ``keys``."""
    columns = [places[f"file {key}"].tolist() for key in keys]
    for row, files in enumerate(zip(*columns, strict=True)):
        yield row, [Path(file) for file in files]


def _duplicate(found: NamedImages, second: int, first: int, what: str, key: str) -> CellProblem:
    file, which = f"{found.shown}/{found.names[second]}", f" and channel '{key}'" if CHANNEL in found.files else ""
    return CellProblem(
        file=file,
        reason="duplicate_cell",
        detail=f"{file}: a second image of the same {what}{which}; the first is {found.names[first]}; remove one of "
        "them, or let 'pattern' tell them apart",
    )


def _incomplete(found: NamedImages, number: int, lacking: Sequence[str], what: str) -> CellProblem:
    file, channels = f"{found.shown}/{found.names[number]}", ", ".join(f"'{key}'" for key in lacking)
    return CellProblem(
        file=file,
        reason="missing_channel",
        detail=f"{file}: its {what} has no image of channel {channels}; export it again",
    )


def check_pattern(pattern: str, needed: tuple[str, ...], lower_case: tuple[str, ...]) -> None:
    """Check a pattern while a config is read.

    Raises:
        ValueError: no regular expression, a group that is needed is not there, or two make the same column.
    """
    groups = groups_of(pattern)
    missing = [name for name in needed if name not in groups]
    if missing:
        raise ValueError(f"'pattern' lacks the group(s) {', '.join(f'(?P<{name}>...)' for name in missing)}")
    names = [metadata_name(name) for name in sorted(groups - {CHANNEL})]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"'pattern' has two groups for the column {twice[0]}")
    if NUMBER in groups:
        raise ValueError(f"'pattern' has a group '{NUMBER}'; give it another name, such as cell or field")
    unknown = [name for name in lower_case if name not in groups]
    if unknown:
        raise ValueError(f"'lower_case' names '{unknown[0]}', which is not a group of 'pattern'")


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
        match = matched(pattern, name)
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
    groups = _labels(files)
    return files[groups].rename(columns={name: metadata_name(name) for name in groups}).reset_index(drop=True)


def _labels(files: pd.DataFrame) -> list[str]:
    return [str(name) for name in files.columns if name not in (CHANNEL, NUMBER)]
