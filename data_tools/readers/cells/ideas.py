"""The reader ``ideas``: the TIFF export of an imaging flow cytometer, one file per cell and channel.

Files are called ``<prefix_>{object}_Ch{n}.ome.tif``. Listing and pairing are those of a folder of crops; this reader
knows the names, whose case differs within one export, keeps the order of the object numbers, and reads the plain TIFFs
the instrument writes (with a wrong FillOrder tag) without what a library costs for each file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from data_tools.formats.plain_tiff import read_plain
from data_tools.readers.cells.base import (
    CELL,
    CELL_READERS,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
    metadata_name,
)
from data_tools.readers.cells.crops import CropsConfig, CropsReader, read_files
from data_tools.readers.cells.names import files_of_rows
from data_tools.readers.channel_names import check_distinct
from data_tools.readers.recognition import Claim, KnowsExports, Sight, by_names
from framework.config import StrictModel

_MOST_CHANNELS = 24
_LABEL = metadata_name("label")
_LABELS = {
    "prefix": r"(?i)(?:.+/)?(?:(?P<label>[^/]*)_)?",
    "folder": r"(?i)(?:(?P<label>.+)/)?(?:[^/]*_)?",
    "none": r"(?i)(?:.+/)?(?:[^/]*_)?",
}
_OBJECT = r"0*(?P<cell>\d+)_ch0*(?P<channel>\d+)\.(?:ome\.)?tiff?"


class IdeasConfig(StrictModel, KnowsExports):
    """A folder of single-channel TIFFs, one per cell and channel, read recursively.

    Attributes:
        label: ``prefix`` reads a label from what stands before the object number, ``folder`` from the folder below
            ``path``; ``none`` keeps none, so the object number alone must tell cells apart.
        label_name: name of its column: ``label`` makes ``Metadata_Label``.
        keep_case: keep labels as written. If not, they are changed to lower case, because an export may write a label
            in several ways.
        channel_names: ``Ch1`` -> channel name; without it channels are called ``Ch1``, ``Ch2`` ...
    """

    name: Literal["ideas"] = "ideas"
    path: str = Field(description="the folder with the export")
    label: Literal["prefix", "folder", "none"] = "prefix"
    label_name: str = Field(default="label", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    keep_case: bool = False
    channel_names: dict[str, str] = Field(default={})
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel in the plane of the sample."""

    @model_validator(mode="after")
    def _check(self) -> IdeasConfig:
        known = [f"Ch{number}" for number in range(1, _MOST_CHANNELS + 1)]
        unknown = [name for name in self.channel_names if name not in known]
        if unknown:
            raise ValueError(f"'channel_names' has the key '{unknown[0]}'; expected Ch1 to Ch{_MOST_CHANNELS}")
        check_distinct([self.channel_names.get(name, name) for name in known], "channel_names")
        if metadata_name(self.label_name) == CELL:
            raise ValueError(f"'label_name' makes the column {CELL}, which holds the object number")
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for files of objects and channels."""
        name = re.compile(_LABELS["prefix"] + _OBJECT)
        return by_names(sight, name.fullmatch, "Sample_1_Ch1.ome.tif", {"path": sight.path})


@CELL_READERS.register("ideas", IdeasConfig)
class IdeasReader(CellReader[IdeasConfig]):
    """Reads a TIFF export of IDEAS."""

    def __init__(self, config: IdeasConfig) -> None:
        super().__init__(config)
        self._crops = CropsReader(
            CropsConfig(
                path=config.path,
                pattern=_LABELS[config.label] + _OBJECT,
                channel_names={
                    str(number): config.channel_names.get(f"Ch{number}", f"Ch{number}")
                    for number in range(1, _MOST_CHANNELS + 1)
                },
                lower_case=() if config.keep_case or config.label == "none" else ("label",),
                pixel_size_um=config.pixel_size_um,
            )
        )

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the cells that have a file of every channel, by label and object number.

        Raises:
            InputError: no folder, no file with such a name, or a channel without a file.
        """
        listing = self._crops.survey(channels)
        if not channels:
            return listing
        order = np.argsort(listing.cells[CELL].astype(np.int64).to_numpy(), kind="stable")
        cells = listing.cells.iloc[order]
        if _LABEL in cells:
            by_label = np.argsort(cells[_LABEL].to_numpy(dtype=np.str_), kind="stable")
            cells, order = cells.iloc[by_label], order[by_label]
        return replace(
            listing,
            cells=cells.rename(columns={_LABEL: metadata_name(self.config.label_name)}).reset_index(drop=True),
            places=listing.places.iloc[order].reset_index(drop=True),
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield each cell from its files."""
        for row, files in files_of_rows(places, channels):
            images = [read_plain(file) for file in files]
            plain = [image for image in images if image is not None]
            yield CellImage(row=row, pixels=plain) if len(plain) == len(files) else read_files(row, files)
