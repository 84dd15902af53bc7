"""``tiff``: OME-TIFF, one file per cell or one per bag with an image per cell, and ``cells.csv`` beside them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
import tifffile

from framework.data.export.base import EXPORTS, ExportOptions, Written
from framework.data.export.cells import Bag, CellSource

TABLE_NAME = "cells.csv"


class TiffOptions(ExportOptions):
    """OME-TIFFs.

    Attributes:
        per: ``cell``: a file per cell, ``<source>/<bag>/<number>.ome.tif``; ``bag``: a file per bag, in which each
            cell is an image of its own, ``<source>/<bag>.ome.tif``.
        compression: compression of the pixels, without loss; None: as they are.
    """

    name: Literal["tiff"] = "tiff"
    per: Literal["cell", "bag"] = "cell"
    compression: Literal["zlib", "lzw", "zstd"] | None = None


@EXPORTS.register("tiff", TiffOptions)
def write_tiff(options: TiffOptions, cells: CellSource, folder: Path, done: Callable[[int], None]) -> Written:
    """Write the images, then ``cells.csv`` with ``file`` and ``image`` (its number in the file) of each cell."""
    metadata = _metadata(cells)
    names: list[str] = []
    places: list[int] = []
    for bag in cells.bags():
        if options.per == "cell":
            _write_cells(options, cells, bag, folder, metadata, done)
            names += [_cell_file(cells, bag, number) for number in bag.tiles.tolist()]
            places += [0] * len(bag.tiles)
        else:
            name = f"{cells.source_names[bag.source]}/{bag.file_name}.ome.tif"
            images = (pair for tiles, pixels in cells.blocks(bag.tiles) for pair in zip(tiles, pixels, strict=True))
            _write(folder / name, images, options, metadata, done)
            names += [name] * len(bag.tiles)
            places += range(len(bag.tiles))
    table = cells.facts.copy()
    table.insert(0, "file", names)
    table.insert(1, "image", places)
    table.to_csv(folder / TABLE_NAME, index=False, lineterminator="\n")
    return Written(files=len(set(names)) + 1, notes=(f"{TABLE_NAME} says which cell is in which file, and its labels",))


def _cell_file(cells: CellSource, bag: Bag, number: int) -> str:
    return f"{cells.source_names[bag.source]}/{bag.file_name}/{number:09d}.ome.tif"


def _write_cells(
    options: TiffOptions,
    cells: CellSource,
    bag: Bag,
    folder: Path,
    metadata: dict[str, Any],
    done: Callable[[int], None],
) -> None:
    for tiles, pixels in cells.blocks(bag.tiles):
        for number, image in zip(tiles.tolist(), pixels, strict=True):
            _write(folder / _cell_file(cells, bag, number), [(number, image)], options, metadata, done)


def _write(
    file: Path,
    images: Iterable[tuple[Any, npt.NDArray[Any]]],
    options: TiffOptions,
    metadata: dict[str, Any],
    done: Callable[[int], None],
) -> None:
    """Write a file; it is made in memory first, so that a full disk is an error of the system, with its number."""
    made = io.BytesIO()
    with tifffile.TiffWriter(made, ome=True) as writer:
        for number, image in images:
            writer.write(
                image,
                photometric="minisblack",
                compression=options.compression,
                metadata=metadata | {"Name": f"cell {number}"},
            )
            done(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(made.getbuffer())


def _metadata(cells: CellSource) -> dict[str, Any]:
    """Return what OME-XML says of every image."""
    size = cells.dataset.manifest.pixel_size_um
    plain: dict[str, Any] = {"axes": "CYX", "Channel": {"Name": list(cells.channels)}}
    if size is not None:
        plain |= {f"PhysicalSize{axis}{part}": value for axis in "XY" for part, value in (("", size), ("Unit", "µm"))}
    return plain
