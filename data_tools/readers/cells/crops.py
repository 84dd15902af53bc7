"""A folder of crops: one TIFF per cell and channel (or per cell). File names hold the facts of a cell.

One regular expression with named groups reads the path below the folder: ``cell`` and ``channel``, and any others
(``protein``, ``field``, ``sample``) become ``Metadata_*`` columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from data_tools.formats.stated_axes import missing_planes
from data_tools.formats.tiff import decode_grey
from data_tools.readers.cells.base import (
    CELL_READERS,
    TEXT,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
    check_channels,
    tiff_problem,
)
from data_tools.readers.cells.guessed_names import crops_claim
from data_tools.readers.cells.names import CHANNEL, check_pattern, files_of_rows, join_channels, named_images
from data_tools.readers.channel_names import check_distinct
from data_tools.readers.recognition import Claim, KnowsExports, Sight
from framework.config import StrictModel
from framework.errors import InputError, some_of


class CropsConfig(StrictModel, KnowsExports):
    """A folder of single-channel crops, read recursively.

    ``pattern`` must match the whole path below ``path`` (folders separated by ``/``).
    """

    name: Literal["crops"] = "crops"
    path: str = Field(description="the folder with the crops")
    pattern: str = Field(description="a regular expression with the groups cell and channel, and any others to keep")
    channel_names: dict[str, str] = Field(default={})
    """What the pattern finds -> channel name; default: the names that it finds."""
    lower_case: tuple[str, ...] = ()
    """Groups whose text is changed to lower case, if an export writes a label in several ways."""
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel in the plane of the sample."""

    @model_validator(mode="after")
    def _check_pattern(self) -> CropsConfig:
        check_pattern(self.pattern, ("cell", CHANNEL), self.lower_case)
        check_distinct(self.channel_names.values(), "channel_names")
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for small TIFFs whose names end in a channel."""
        return crops_claim(sight)


@CELL_READERS.register("crops", CropsConfig)
class CropsReader(CellReader[CropsConfig]):
    """Reads a folder of crops."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the cells below the folder that have a file of every channel.

        Raises:
            InputError: no folder, no TIFF in it, no name that matches, or a channel without a file or a name.
        """
        config = self.config
        images = named_images(config.path, config.pattern, config.lower_case)
        if config.channel_names:
            images.files[CHANNEL] = self._named(images.files[CHANNEL])
        found = sorted(images.files[CHANNEL].unique())
        known = tuple(name for name in dict.fromkeys([*config.channel_names.values(), *found]) if name in found)
        check_channels(channels, known, config.path)
        cells, places, problems = join_channels(images, channels, "cell")
        return CellListing(
            cells=cells,
            places=places,
            channels=known,
            problems=tuple(problems),
            notes=(*images.notes, *missing_planes(images.root / images.names[0])),
            pixel_size_um=config.pixel_size_um,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield each cell from its files."""
        for row, files in files_of_rows(places, channels):
            yield read_files(row, files)

    def _named(self, found: pd.Series[Any]) -> pd.Series[Any]:
        names = self.config.channel_names
        unnamed = [name for name in found.unique() if name not in names]
        if unnamed:
            raise InputError(
                f"{self.config.path}: the pattern finds channel(s) {', '.join(sorted(unnamed))} that 'channel_names' "
                f"does not name; it names {some_of(names)}"
            )
        return found.map(names).astype(TEXT)


def read_files(row: int, files: list[Path]) -> CellImage | CellProblem:
    """Return a cell whose channels are single-image TIFFs; files are opened and closed one at a time."""
    images = []
    for file in files:
        try:
            images.append(decode_grey(file))
        except Exception as error:  # tifffile and codecs raise many kinds on damaged files, all mean the same
            return tiff_problem(row, file, error)
    return CellImage(row=row, pixels=images)
