"""A folder of crops, one TIFF a cell and channel (or a cell), whose facts stand in their names.

One regular expression with named groups reads the path below the folder: ``cell`` and ``channel``, and any others
(``protein``, ``field``, ``sample``) become ``Metadata_*`` columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.formats.tiff import decode_grey
from data_tools.readers.cells.base import (
    CELL_READERS,
    TEXT,
    CellImage,
    CellListing,
    CellProblem,
    check_channels,
    check_distinct,
    tiff_problem,
)
from data_tools.readers.cells.names import NUMBER, check_pattern, labels_of, match_names
from data_tools.readers.folder import images_below
from data_tools.readers.patterns import missed_note
from framework.config import StrictModel
from framework.errors import InputError

_CHANNEL, _CELL = "channel", "cell"


class CropsConfig(StrictModel):
    """A folder of single-channel crops, read recursively.

    ``pattern`` must match the whole path below ``path`` (folders separated by ``/``).
    """

    name: Literal["crops"] = "crops"
    path: str = Field(description="the folder with the crops")
    pattern: str = Field(description="a regular expression with the groups cell and channel, and any others to keep")
    channel_names: dict[str, str] = Field(default={})
    """What the pattern finds -> channel name; without it names are those found."""
    lower_case: tuple[str, ...] = ()
    """Groups whose text is made lower case, where an export writes one label in several ways."""
    pixel_size_um: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check_pattern(self) -> CropsConfig:
        check_pattern(self.pattern, (_CELL, _CHANNEL), self.lower_case)
        check_distinct(self.channel_names.values(), "channel_names")
        return self


@CELL_READERS.register("crops", CropsConfig)
class CropsReader:
    """Reads a folder of crops."""

    def __init__(self, config: CropsConfig) -> None:
        self.config = config

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the cells below the folder that have a file of every channel.

        Raises:
            InputError: no folder, no TIFF in it, no name that matches, or a channel without a file or a name.
        """
        config = self.config
        root = Path(config.path).absolute()
        listed = images_below(root, config.path)
        names, facts = listed.names, listed.facts
        files, missed = match_names(config.path, names, re.compile(config.pattern), config.lower_case)
        if config.channel_names:
            files[_CHANNEL] = self._named(files[_CHANNEL])
        found = tuple(dict.fromkeys([*config.channel_names.values(), *sorted(files[_CHANNEL].unique())]))
        found = tuple(name for name in found if name in set(files[_CHANNEL].unique()))
        check_channels(channels, found, config.path)
        cells, places, problems = self._by_cell(files, names, facts, channels, root)
        return CellListing(
            cells=cells,
            places=places,
            channels=found,
            problems=tuple(problems),
            notes=(*listed.notes, *missed_note(config.path, names, missed)),
            pixel_size_um=config.pixel_size_um,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield each cell from its files."""
        columns = [places[f"file {channel}"].tolist() for channel in channels]
        for row, files in enumerate(zip(*columns, strict=True)):
            yield read_files(row, [Path(file) for file in files])

    def _named(self, found: pd.Series[Any]) -> pd.Series[Any]:
        names = self.config.channel_names
        unnamed = [name for name in found.unique() if name not in names]
        if unnamed:
            raise InputError(
                f"{self.config.path}: the pattern finds channel(s) {', '.join(sorted(unnamed))} that 'channel_names' "
                f"does not name; it names {', '.join(names)}"
            )
        return found.map(names).astype(TEXT)

    def _by_cell(
        self,
        files: pd.DataFrame,
        names: list[str],
        facts: npt.NDArray[np.int64],
        channels: tuple[str, ...],
        root: Path,
    ) -> tuple[pd.DataFrame, pd.DataFrame, list[CellProblem]]:
        """Return cells and places of cells that have every channel, and a problem for each file or cell left out."""
        groups = [name for name in files.columns if name not in (_CHANNEL, NUMBER)]
        code = files.groupby(groups, sort=False).ngroup().to_numpy()
        n_cells = int(code.max()) + 1
        first = np.unique(code, return_index=True)[1]
        number = files[NUMBER].to_numpy()
        chosen = np.full((n_cells, len(channels)), -1, dtype=np.int64)
        problems: list[CellProblem] = []
        for position, channel in enumerate(channels):
            rows = np.flatnonzero((files[_CHANNEL] == channel).to_numpy())
            # Of two files for one place the first by name is kept: written last, it stands.
            chosen[code[rows[::-1]], position] = number[rows[::-1]]
            again = rows[chosen[code[rows], position] != number[rows]]
            problems += [self._duplicate(names, number[row], chosen[code[row], position], channel) for row in again]
        whole = (chosen >= 0).all(axis=1)
        lacking = np.flatnonzero(~whole)
        problems += [self._incomplete(names[number[first[cell]]], channels, chosen[cell] >= 0) for cell in lacking]
        places: dict[str, Any] = {}
        for position, channel in enumerate(channels):
            mine = chosen[whole, position]
            places[f"file {channel}"] = pd.Series([str(root / names[row]) for row in mine], dtype=TEXT)
            places[f"bytes {channel}"], places[f"mtime_ns {channel}"] = facts[mine].T
        return labels_of(files.iloc[first[whole]]), pd.DataFrame(places), problems

    def _duplicate(self, names: list[str], second: int, first: int, channel: str) -> CellProblem:
        file = f"{self.config.path}/{names[second]}"
        return CellProblem(
            file=file,
            reason="duplicate_cell",
            detail=f"{file}: a second image of the same cell and channel '{channel}'; the first is {names[first]}; "
            "remove one of them, or let 'pattern' tell them apart",
        )

    def _incomplete(self, name: str, channels: tuple[str, ...], has: npt.NDArray[np.bool_]) -> CellProblem:
        lacking = ", ".join(f"'{channel}'" for channel, there in zip(channels, has, strict=True) if not there)
        file = f"{self.config.path}/{name}"
        return CellProblem(
            file=file,
            reason="missing_channel",
            detail=f"{file}: its cell has no image of channel {lacking}; export it again",
        )


def read_files(row: int, files: list[Path]) -> CellImage | CellProblem:
    """Return a cell whose channels are single-image TIFFs; files are opened and closed one at a time."""
    images = []
    for file in files:
        try:
            images.append(decode_grey(file))
        except Exception as error:  # tifffile and codecs raise many kinds on damaged files, all mean the same
            return tiff_problem(row, file, error)
    return CellImage(row=row, pixels=images)
