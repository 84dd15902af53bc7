"""``h5sc``: the single-cell images of scPortrait, an AnnData file with the pixels of each cell in ``obsm``.

The layout (scPortrait 1.4 and later): ``obsm/single_cell_images`` (cells, channels, H, W), float16 between 0 and 1, one
chunk per image, masks before image channels; its attributes name the channels and say which are masks. ``obs`` has one
row per cell with ``cell_id``, ``var`` one per channel, ``uns/single_cell_images`` the attributes once more.

A dataset holds no masks of cells, so none are written: ``n_masks`` is 0, and what surrounds a cell is not blanked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import anndata
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.export.base import EXPORTS, ExportOptions, Written
from framework.data.export.cells import CellSource
from framework.files.h5_writing import writing_hdf5

FILE_NAME = "single_cells.h5sc"
IMAGES = "single_cell_images"
_LOW, _HIGH = "0.1", "99.9"
"""Percentiles of the manifest that become 0 and 1."""


class H5scOptions(ExportOptions):
    """Single-cell images of scPortrait.

    Attributes:
        normalise: how stored pixels become numbers between 0 and 1. ``channel``: the 0.1 and 99.9 percentile of the
            channel over the whole dataset become 0 and 1, so that cells stay comparable; ``cell``: the least and the
            largest pixel of each image; ``none``: pixels as stored, in float32, because float16 cannot hold them.
    """

    name: Literal["h5sc"] = "h5sc"
    normalise: Literal["channel", "cell", "none"] = "channel"


@EXPORTS.register("h5sc", H5scOptions)
def write_h5sc(options: H5scOptions, cells: CellSource, folder: Path, done: Callable[[int], None]) -> Written:
    """Write ``single_cells.h5sc``."""
    file, (channels, height, width) = folder / FILE_NAME, cells.shape
    facts = _facts(options, cells)
    dtype = np.dtype(np.float32 if options.normalise == "none" else np.float16)
    with writing_hdf5(file) as (opened, check):
        anndata.io.write_elem(opened, "/", _annotations(cells, facts))
        images = opened.create_dataset(
            f"obsm/{IMAGES}",
            shape=(len(cells), channels, height, width),
            chunks=(1, 1, height, width),
            dtype=dtype,
            compression=facts["compression"],
        )
        _describe(images, facts)
        for tiles, pixels in cells.blocks(np.arange(len(cells), dtype=np.int64)):
            images[tiles[0] : tiles[-1] + 1] = _scaled(options, cells, pixels).astype(dtype)
            check()
            done(len(tiles))
    notes = ["cells are not masked: a dataset holds no outlines of cells, so n_masks is 0"]
    if options.normalise == "channel":
        notes.append(f"the {_LOW} and {_HIGH} percentile of each channel became 0 and 1; what lies beyond is cut off")
    return Written(files=1, notes=tuple(notes))


def _facts(options: H5scOptions, cells: CellSource) -> dict[str, Any]:
    names = np.asarray(cells.channels, dtype=object)
    return {
        "n_cells": len(cells),
        "n_channels": len(names),
        "n_masks": 0,
        "n_image_channels": len(names),
        "image_size_x": cells.shape[1],  # as scPortrait has them: x is the number of rows
        "image_size_y": cells.shape[2],
        "normalization": options.normalise != "none",
        "normalization_range": f"{_LOW} to {_HIGH} percentile" if options.normalise == "channel" else options.normalise,
        "channel_names": names,
        "channel_mapping": np.full(len(names), "image_channel", dtype=object),
        "compression": "lzf",
    }


def _annotations(cells: CellSource, facts: dict[str, Any]) -> anndata.AnnData:
    table = cells.facts.copy()
    # Numbers of cells begin at 1, because 0 is the background of a segmentation.
    table.insert(0, "cell_id", (table["tile"] + 1).astype(np.uint64))
    for name in table.select_dtypes(["object", "string"]).columns:
        table[name] = table[name].map(lambda value: "" if pd.isna(value) else str(value))
    table.index = pd.Index([str(row) for row in range(len(table))])
    var = pd.DataFrame(
        {"channels": facts["channel_names"], "channel_mapping": facts["channel_mapping"]},
        index=[str(channel) for channel in range(len(cells.channels))],
    )
    data = anndata.AnnData(obs=table, var=var, uns={IMAGES: facts})
    data.strings_to_categoricals()
    return data


def _describe(images: h5py.Dataset, facts: dict[str, Any]) -> None:
    images.attrs["encoding-type"], images.attrs["encoding-version"] = "array", "0.2.0"
    for name, value in facts.items():
        is_text = isinstance(value, np.ndarray)
        images.attrs[name] = np.asarray([text.encode() for text in value]) if is_text else value


def _scaled(options: H5scOptions, cells: CellSource, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return pixels (n, C, H, W) between 0 and 1."""
    values = pixels.astype(np.float32)
    if options.normalise == "none":
        return values
    if options.normalise == "cell":
        low, high = values.min((2, 3), keepdims=True), values.max((2, 3), keepdims=True)
    else:
        found = [cells.dataset.manifest.channel_statistics[name].percentiles for name in cells.channels]
        low, high = (np.asarray([each[cut] for each in found], np.float32)[:, None, None] for cut in (_LOW, _HIGH))
    span = np.where(high > low, high - low, 1)
    scaled: npt.NDArray[np.float32] = np.clip((values - low) / span, 0, 1)
    return scaled
