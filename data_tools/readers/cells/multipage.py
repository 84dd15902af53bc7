"""A TIFF a cell, its channels as pages (or as samples of one page); facts of the cell stand in the name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.formats.tiff import decode_pages
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
from data_tools.readers.cells.names import check_pattern, labels_of, match_names
from data_tools.readers.folder import images_below
from data_tools.readers.patterns import missed_note
from framework.config import StrictModel


class MultipageConfig(StrictModel):
    """A folder of multi-page TIFFs, read recursively; ``pattern`` must match the whole path below ``path``.

    Attributes:
        pattern: regular expression with the group ``cell``, and any others to keep.
        channels: names of the channels, in the order of the pages.
        lower_case: groups whose text is made lower case.
    """

    name: Literal["multipage"] = "multipage"
    path: str = Field(description="the folder with the TIFFs")
    pattern: str = Field(description="a regular expression with the group cell, and any others to keep")
    channels: tuple[str, ...] = Field(min_length=1, description="the names of the channels, in the order of the pages")
    lower_case: tuple[str, ...] = ()
    pixel_size_um: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> MultipageConfig:
        check_pattern(self.pattern, ("cell",), self.lower_case)
        check_distinct(self.channels, "channels")
        return self


@CELL_READERS.register("multipage", MultipageConfig)
class MultipageReader:
    """Reads a folder of multi-page TIFFs."""

    def __init__(self, config: MultipageConfig) -> None:
        self.config = config

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the files whose name matches.

        Raises:
            InputError: no folder, no TIFF in it, no name that matches, or a channel the config does not name.
        """
        config = self.config
        check_channels(channels, config.channels, config.path)
        root = Path(config.path).absolute()
        listed = images_below(root, config.path)
        names, facts = listed.names, listed.facts
        files, missed = match_names(config.path, names, re.compile(config.pattern), config.lower_case)
        number = files["number"].to_numpy()
        places = pd.DataFrame(
            {
                "file": pd.Series([str(root / names[row]) for row in number], dtype=TEXT),
                "bytes": facts[number, 0],
                "mtime_ns": facts[number, 1],
            }
        )
        return CellListing(
            cells=labels_of(files),
            places=places,
            channels=config.channels,
            notes=(*listed.notes, *missed_note(config.path, names, missed)),
            pixel_size_um=config.pixel_size_um,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield each cell from its file."""
        chosen = [self.config.channels.index(channel) for channel in channels]
        for row, file in enumerate(places["file"].tolist()):
            try:
                planes = _planes(Path(file))
            except Exception as error:  # tifffile and codecs raise many kinds on damaged files, all mean the same
                yield tiff_problem(row, file, error)
                continue
            if len(planes) != len(self.config.channels):
                text = f"{file}: {len(planes)} pages, and 'channels' names {len(self.config.channels)}; export it again"
                yield CellProblem(row=row, file=file, reason="missing_channel", detail=text)
                continue
            yield CellImage(row=row, pixels=[planes[channel] for channel in chosen])


def _planes(file: Path) -> list[npt.NDArray[Any]]:
    """Return the channels of a file: its pages, or the samples of its only page."""
    pages = decode_pages(file)
    if len(pages) == 1 and pages[0].ndim == 3:
        return list(np.moveaxis(pages[0], -1, 0))
    return pages
