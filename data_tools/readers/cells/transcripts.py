"""Cells of a spatial transcriptomics experiment: an image, and a table with one row per transcript that names its cell.

Each cell becomes a crop of the image around the median of its transcripts over the nucleus, and the count of every
gene becomes a measurement of the cell, beside ``transcripts``, their sum. Tables of Xenium, CosMx and MERSCOPE are
known by the names of their columns (``transcript_table``). A worker holds the planes of one image in memory.

``blocks`` cuts the field into strips or squares, so that training and test cells do not lie side by side:
``Metadata_Block`` counts them from 0, or is ``row-column`` where both edges are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.formats.tiff import Tiff, only_image
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
    tiff_problem,
)
from data_tools.readers.cells.transcript_table import TranscriptColumns, Transcripts, Unit, read_transcripts
from framework.config import StrictModel
from framework.errors import InputError

_BLOCK, _BORDER = "Metadata_Block", "border"
TOTAL = "transcripts"
"""Measurement: all transcripts of genes in the cell."""


class BlocksConfig(StrictModel):
    """Edges of the blocks a field is cut into.

    Attributes:
        x_px: width of a block, in pixels; without it a block is as wide as the image.
        y_px: height of a block; without it a block is as high as the image.
    """

    x_px: float | None = Field(default=None, gt=0)
    y_px: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> BlocksConfig:
        if self.x_px is None and self.y_px is None:
            raise ValueError("expected 'x_px', 'y_px' or both, found neither")
        return self


class TranscriptsConfig(StrictModel):
    """Images of a field, and the table of its transcripts.

    Attributes:
        images: channel -> TIFF of one plane; all of one size and registered with the places in the table.
        table: .csv (plain or packed) or .parquet.
        rows: what a row of the table is: one of the ``transcripts``, or one of the ``cells`` (with its position) of a
            field that was imaged but not counted. Such cells have no counts: a run can predict them, but nothing is
            compared.
        columns: names of its columns, if they are not the usual ones.
        field: the field of view that counts, where the table has several and places are those within one.
        unit: unit of the places in the table; default: what the names of its columns say.
        pixel_size_um: edge of a pixel; needed for places in um.
        origin_um: place (x, y) of the centre of the first pixel, for places in um.
        no_cell: patterns of names that mean that a transcript lies in no cell; capitals do not matter.
        not_genes: patterns of names that are not genes.
        min_quality: transcripts of lower quality are left out, if the table has a quality.
        min_transcripts: cells with fewer transcripts get no row.
        centre: centre of a crop: the median place of the transcripts over the ``nucleus``, or of ``all``.
        crop_px: edge of a crop.
        whole_px: edge of the square around the centre that must lie inside the image; what the crop has beyond the
            image is its mirror image. Default: ``crop_px``.
        blocks: how the field is cut for splits.
    """

    name: Literal["transcripts"] = "transcripts"
    images: dict[str, str] = Field(min_length=1, description="a mapping of channels to TIFFs")
    table: str = Field(description="the table of transcripts, .csv or .parquet")
    rows: Literal["transcripts", "cells"] = "transcripts"
    columns: TranscriptColumns = TranscriptColumns()
    field: str | None = None
    unit: Unit | None = None
    pixel_size_um: float | None = Field(default=None, gt=0)
    origin_um: tuple[float, float] = (0.0, 0.0)
    no_cell: tuple[str, ...] = (
        "", "-1", "0", "UNASSIGNED", "c_*_0", "NA", "N/A", "nan", "None", "null", "<NA>",
    )  # fmt: skip
    not_genes: tuple[str, ...] = (
        "NegControl*", "NegPrb*", "Negative*", "antisense_*", "BLANK*", "SystemControl*", "FalseCode*", "Unassigned*",
        "Deprecated*", "Intergenic*",
    )  # fmt: skip
    min_quality: float | None = 20
    min_transcripts: int = Field(default=30, ge=1)
    centre: Literal["nucleus", "all"] = "nucleus"
    crop_px: int = Field(default=64, ge=4)
    whole_px: int | None = Field(default=None, ge=2)
    blocks: BlocksConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> TranscriptsConfig:
        if self.unit == "um" and self.pixel_size_um is None:
            raise ValueError("'unit: um' needs 'pixel_size_um'")
        if self.whole_px is not None and self.whole_px > self.crop_px:
            raise ValueError(f"'whole_px' is {self.whole_px}, more than 'crop_px' {self.crop_px}")
        return self


@CELL_READERS.register("transcripts", TranscriptsConfig)
class TranscriptsReader(CellReader[TranscriptsConfig]):
    """Cuts a crop around each cell of a table of transcripts."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the cells with enough transcripts, with the count of every gene.

        Raises:
            InputError: a channel, image or table that is missing or cannot be read, places whose unit is not known, or
                no transcript in a cell.
        """
        config = self.config
        check_channels(channels, tuple(config.images), "'images'")
        found = read_transcripts(
            config.table,
            config.columns,
            no_cell=config.no_cell,
            not_genes=config.not_genes,
            min_quality=config.min_quality,
            of_cells=config.rows == "cells",
            field=config.field,
        )
        counts, centres = found.counts(), self._centres_px(found)
        if config.rows == "cells":
            counts, found = counts[:, :0], replace(found, genes=[])
        total = counts.sum(axis=1)
        placed = np.isfinite(centres).all(axis=1)
        keep = placed & ((total >= config.min_transcripts) | (config.rows == "cells"))
        cells: dict[str, Any] = {CELL: pd.Series(np.array(found.cells, dtype=object)[keep], dtype=TEXT)}
        cells["y_px"], cells["x_px"] = centres[keep].T
        if config.blocks is not None:
            cells[_BLOCK] = pd.Series(_blocks(centres[keep], config.blocks), dtype=TEXT)
        if config.rows == "transcripts":
            cells[TOTAL] = total[keep].astype(np.float64)
        if TOTAL in found.genes:
            raise InputError(
                f"{config.table}: a gene is called '{TOTAL}', which is the name of the sum of all genes; name it "
                "in 'not_genes'"
            )
        genes = dict(zip(found.genes, counts[keep].T, strict=True))
        few = int((placed & ~keep).sum())
        note = f"{config.table}: {int(keep.sum())} of {len(keep)} cells are used"
        if config.rows == "transcripts":
            note += (
                f", with {len(genes)} genes; {few} have fewer than {config.min_transcripts} transcripts, "
                f"{int((~placed).sum())} have none over a nucleus"
            )
        return CellListing(
            cells=pd.concat([pd.DataFrame(cells), pd.DataFrame(genes)], axis=1),
            places=self._places(centres[keep]),
            channels=tuple(config.images),
            notes=(*found.notes, note),
            pixel_size_um=config.pixel_size_um,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield the crop of each cell; a cell too near to the border is yielded without one."""
        config = self.config
        planes: list[npt.NDArray[Any]] = []
        if len(places):
            files = [str(places[f"file {channel}"].iloc[0]) for channel in channels]
            for file in files:
                try:
                    planes.append(only_image(Tiff(Path(file))))
                except Exception as error:  # tifffile and codecs raise many kinds on damaged files, all mean the same
                    yield from (tiff_problem(row, file, error) for row in range(len(places)))
                    return
            _check_planes(planes, files)
        size, whole = config.crop_px, config.whole_px or config.crop_px
        mirrored = [np.pad(plane, size, mode="symmetric") for plane in planes]
        for row, (y, x) in enumerate(places[["y", "x"]].to_numpy(np.float64)):
            top, left = (int(np.floor(value + 0.5)) for value in (y, x))
            height, width = planes[0].shape
            inside = all(
                half_open - whole // 2 >= 0 and half_open - whole // 2 + whole <= edge
                for half_open, edge in ((top, height), (left, width))
            )
            if not inside:
                yield CellImage(row=row, pixels=[], status=_BORDER)
                continue
            at_y, at_x = top + size - size // 2, left + size - size // 2
            yield CellImage(row=row, pixels=[plane[at_y : at_y + size, at_x : at_x + size] for plane in mirrored])

    def _centres_px(self, found: Transcripts) -> npt.NDArray[np.float64]:
        """Return the centres of cells (y, x) in pixels of the image."""
        config = self.config
        nuclear = config.centre == "nucleus" and config.rows == "transcripts"
        if nuclear and not found.has_nucleus:
            raise InputError(
                f"{config.table}: no column says which transcripts lie over nuclei; name it with 'columns: "
                "{nucleus: NAME}}', or set 'centre: all'"
            )
        unit = config.unit or found.unit
        if unit is None:
            raise InputError(
                f"{config.table}: the names of its columns do not say whether places are px or um; set 'unit'"
            )
        centres = found.centres(nuclear=nuclear)
        if unit == "px":
            return centres
        if config.pixel_size_um is None:
            raise InputError(f"{config.table}: its places are in um; set 'pixel_size_um'")
        return np.asarray((centres - np.array(config.origin_um[::-1])) / config.pixel_size_um)

    def _places(self, centres: npt.NDArray[np.float64]) -> pd.DataFrame:
        columns: dict[str, Any] = {"y": centres[:, 0], "x": centres[:, 1]}
        for channel, path in self.config.images.items():
            file = Path(path).absolute()
            if not file.is_file():
                raise InputError(f"{path}: no such file; correct 'images: {{{channel}: ...}}'")
            facts = file_columns([file])
            columns |= {f"{name} {channel}": np.repeat(value, len(centres)) for name, value in facts.items()}
            columns[f"file {channel}"] = pd.Series([str(file)] * len(centres), dtype="category")
        return pd.DataFrame(columns)


def _check_planes(planes: list[npt.NDArray[Any]], files: list[str]) -> None:
    for plane, file in zip(planes, files, strict=True):
        if plane.ndim != 2:
            raise InputError(f"{file}: expected one grey plane, found shape {plane.shape}")
        if plane.shape != planes[0].shape:
            raise InputError(
                f"{file}: has {plane.shape} px, but {files[0]} has {planes[0].shape}; images must be "
                "registered to each other"
            )


def _blocks(centres: npt.NDArray[np.float64], config: BlocksConfig) -> list[str]:
    """Return the block of each centre (y, x)."""
    edges = [
        (place, edge) for place, edge in zip(centres.T, (config.y_px, config.x_px), strict=True) if edge is not None
    ]
    numbers = np.stack([np.floor(place / edge).astype(np.int64) for place, edge in edges], axis=1)
    return ["-".join(map(str, row)) for row in numbers.tolist()]
