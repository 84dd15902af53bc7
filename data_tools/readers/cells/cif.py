"""The reader ``cif``: cells from the ``.cif`` files of an imaging flow cytometer, outlined by their masks if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from data_tools.formats.cif import CifPixels, index_cif
from data_tools.readers.cells.base import (
    CELL,
    CELL_READERS,
    TEXT,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
    check_channels,
    file_columns,
    text_column,
)
from data_tools.readers.channel_names import check_distinct
from data_tools.readers.recognition import Claim, KnowsExports, Sight
from framework.config import StrictModel
from framework.errors import InputError, some_of


class CifConfig(StrictModel, KnowsExports):
    """One ``.cif`` file.

    Attributes:
        channel_names: name in the file -> channel name; a file without names has ``Ch1``, ``Ch2`` ...
        numbering: ``tag`` names cells by the object numbers of the file, ``position`` counts them from 0.
        mask: ``zero_outside`` sets every pixel outside the mask of its channel to 0, ``none`` keeps all pixels.
    """

    name: Literal["cif"] = "cif"
    path: str = Field(description="the .cif file")
    channel_names: dict[str, str] = Field(default={})
    numbering: Literal["tag", "position"] = "tag"
    mask: Literal["none", "zero_outside"] = "none"
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel in the plane of the sample."""

    @model_validator(mode="after")
    def _check(self) -> CifConfig:
        check_distinct(self.channel_names.values(), "channel_names")
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for one ``.cif`` file."""
        files = sight.ending(".cif")
        if len(files) > 1:
            return f"{len(files)} .cif files, and an ingest takes one as a source: name one, as {sight.root / files[0]}"
        path = str(sight.root / files[0]) if files else ""
        return Claim(options={"path": path}, rank="own list", why=f"{files[0]} holds cells") if files else ""


@CELL_READERS.register("cif", CifConfig)
class CifReader(CellReader[CifConfig]):
    """Reads one ``.cif`` file."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the objects of the file.

        Raises:
            InputError: no such file, damaged, or a channel it does not have.
        """
        config, file = self.config, Path(self.config.path).absolute()
        index = index_cif(file, config.numbering)
        unknown = [name for name in config.channel_names if name not in index.channels]
        if unknown:
            raise InputError(
                f"{config.path}: 'channel_names' names '{unknown[0]}'; the file has {some_of(index.channels)}"
            )
        names = tuple(config.channel_names.get(name, name) for name in index.channels)
        check_channels(channels, names, config.path)
        cells = pd.DataFrame({CELL: text_column(str(number) for number in index.objects)})
        lacking = index.mask_at < 0 if config.mask == "zero_outside" else np.zeros(len(index), dtype=np.bool_)
        problems = tuple(
            CellProblem(
                cell=str(index.objects[row]),
                file=str(file),
                reason="missing_mask",
                detail=f"{config.path}: object {index.objects[row]} has no mask; set 'mask: none'",
            )
            for row in np.flatnonzero(lacking)
        )
        places = pd.DataFrame(
            {
                "file": pd.Series([str(file)] * len(index), dtype=TEXT),
                "channels": pd.Series(["|".join(names)] * len(index), dtype=TEXT),
                "image_at": index.image_at,
                "mask_at": index.mask_at,
                **{name: np.repeat(column, len(index)) for name, column in file_columns([file]).items()},
            }
        )
        return CellListing(
            cells=cells[~lacking].reset_index(drop=True),
            places=places[~lacking].reset_index(drop=True),
            channels=names,
            problems=problems,
            pixel_size_um=config.pixel_size_um,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield the cells of some rows; all rows are of one file, which is opened once."""
        if not len(places):
            return
        names: list[str] = str(places["channels"].iloc[0]).split("|")
        chosen = [names.index(channel) for channel in channels]
        file = Path(str(places["file"].iloc[0]))
        columns = zip(places["image_at"].tolist(), places["mask_at"].tolist(), strict=True)
        with CifPixels(file, len(names)) as pixels:
            for row, (image_at, mask_at) in enumerate(columns):
                try:
                    yield CellImage(row=row, pixels=self._pixels(pixels, image_at, mask_at)[chosen])
                except InputError as error:
                    yield CellProblem(row=row, file=str(file), reason="damaged_image", detail=str(error))

    def _pixels(self, pixels: CifPixels, image_at: int, mask_at: int) -> Any:
        image = pixels.image(image_at)
        if self.config.mask == "none":
            return image
        mask = pixels.mask(mask_at)
        if mask.shape != image.shape:
            raise InputError(
                f"{self.config.path}: the image at byte {image_at} has the shape {image.shape}, its mask {mask.shape}; "
                "export it again, or set 'mask: none'"
            )
        return np.where(mask != 0, image, np.uint16(0))
