"""One TIFF per cell, with channels as pages (or as samples of one page). File names hold the facts of a cell.

What a file states of its pages (ImageJ, OME-XML, tifffile: ``formats.stated_axes``) is believed: pages that are z
slices or time points are refused where channels are asked for, pages in another order than the stated channels are put
in that order, and names of channels that stand in other places than in ``channels`` are refused. ``pages: channels``
says that pages are the channels in the order of the file, whatever it states.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.formats.tiff import Tiff
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
from data_tools.readers.cells.guessed_names import multipage_claim
from data_tools.readers.cells.names import NUMBER, check_pattern, labels_of, named_images
from data_tools.readers.cells.stated_channels import (
    PlanesError,
    channel_order,
    channel_planes,
    first_statement,
    statement_notes,
)
from data_tools.readers.recognition import Claim, KnowsExports, Sight
from framework.config import StrictModel, UniqueNames

_NAMES, _SEPARATOR = "channel names", "\n"
"""Column of places with the names that the first file states for its channels."""


class MultipageConfig(StrictModel, KnowsExports):
    """A folder of multi-page TIFFs, read recursively; ``pattern`` must match the whole path below ``path``.

    Attributes:
        pattern: regular expression with the group ``cell``, and any others to keep.
        channels: names of the channels, in the order of the pages; where a file states another order of its channels
            (``TiffData`` of OME-XML), in the order of that statement.
        pages: ``as_stated`` refuses a file that states that its pages are not channels, or channels in other places;
            ``channels`` takes the pages in the order of the file, whatever it states.
        lower_case: groups whose text is changed to lower case.
    """

    name: Literal["multipage"] = "multipage"
    path: str = Field(description="the folder with the TIFFs")
    pattern: str = Field(description="a regular expression with the group cell, and any others to keep")
    channels: UniqueNames = Field(min_length=1, description="the names of the channels, in the order of the pages")
    pages: Literal["as_stated", "channels"] = "as_stated"
    lower_case: tuple[str, ...] = ()
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel in the plane of the sample."""

    @model_validator(mode="after")
    def _check(self) -> MultipageConfig:
        check_pattern(self.pattern, ("cell",), self.lower_case)
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for small TIFFs of several pages."""
        return multipage_claim(sight)


@CELL_READERS.register("multipage", MultipageConfig)
class MultipageReader(CellReader[MultipageConfig]):
    """Reads a folder of multi-page TIFFs."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the files whose name matches.

        Raises:
            InputError: no folder, no TIFF in it, no name that matches, or a channel the config does not name.
        """
        config = self.config
        check_channels(channels, config.channels, config.path)
        images = named_images(config.path, config.pattern, config.lower_case)
        number = images.files[NUMBER].to_numpy()
        places, start = pd.DataFrame(images.places(number)), images.names[number[0]]
        first = None if config.pages == "channels" else first_statement(images.root / start)
        if first is not None and not first.are_labels and first.names:
            places[_NAMES] = pd.Series([_SEPARATOR.join(first.names)] * len(places), dtype=TEXT)
        return CellListing(
            cells=labels_of(images.files),
            places=places,
            channels=config.channels,
            notes=(*images.notes, *statement_notes(f"{config.path}/{start}", first, config.channels)),
            pixel_size_um=config.pixel_size_um,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield each cell from its file."""
        chosen = [self.config.channels.index(channel) for channel in channels]
        first = str(places[_NAMES].iloc[0]) if _NAMES in places and len(places) else ""
        names = tuple(first.split(_SEPARATOR)) if first else ()
        for row, file in enumerate(places["file"].tolist()):
            try:
                planes = self._planes(Path(file), names)
            except PlanesError as error:
                yield CellProblem(row=row, file=file, reason=error.reason, detail=f"{file}: {error}")
                continue
            except Exception as error:  # tifffile and codecs raise many kinds on damaged files, all mean the same
                yield tiff_problem(row, file, error)
                continue
            yield CellImage(row=row, pixels=[planes[channel] for channel in chosen])

    def _planes(self, file: Path, names: tuple[str, ...]) -> list[npt.NDArray[Any]]:
        """Return the channels of a file in the order of ``channels``."""
        tiff = Tiff(file)
        wanted, stated = self.config.channels, self.config.pages == "as_stated"
        order = channel_order(tiff, wanted, names) if stated else ()
        return channel_planes(tiff, order, len(wanted), with_alpha=not stated)
