"""The corrected fields of one well: kept until its tiles are cut, and some of them drawn for the report.

The stored order of a well's tiles is random over all its fields, so no tile can be placed before the last field is
read. Keeping fields rather than their tiles writes nothing twice, and takes less where tiles overlap.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_tools.pipeline.build.facts import Overview
from data_tools.pipeline.build.folder import explained, writing
from data_tools.pipeline.build.parts import PixelCounts, count_pixels
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.plate import Bag, Plate, Site
from data_tools.shards import random_order
from framework.compiled import compiled, load_word, store_word
from framework.data.format.tile_index import tile_corner
from framework.durable import replacing
from framework.files.names import safe_names

_IN_MEMORY = 256 << 20


def open_fields(n_fields: int, shape: tuple[int, int, int], dtype: str, folder: Path) -> npt.NDArray[Any]:
    """Return room for fields: in memory up to 256 MiB, else in an unnamed file of ``folder`` that is mapped.

    Args:
        n_fields: of the well with the most.
        shape: (C, H, W) of a field.
        dtype: dtype of its pixels.
        folder: where the file lies; its space is taken at once, so that a full disk is met here.

    Returns:
        (n_fields, C, H, W), not initialised.

    Raises:
        DatasetError: no space.
    """
    nbytes = n_fields * int(np.prod(shape)) * np.dtype(dtype).itemsize
    if nbytes <= _IN_MEMORY:
        return np.empty((n_fields, *shape), dtype=dtype)
    with explained(folder), tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, nbytes)
        return np.ndarray((n_fields, *shape), dtype=dtype, buffer=mmap.mmap(file.fileno(), nbytes))


def cut_tiles(
    fields: npt.NDArray[Any],
    field: npt.NDArray[np.int64],
    y_px: npt.NDArray[np.float32],
    x_px: npt.NDArray[np.float32],
    size_px: int,
    counts: PixelCounts,
) -> npt.NDArray[Any]:
    """Return a copy of tiles out of several fields, and count their pixels on the way.

    Args:
        fields: (S, C, H, W).
        field: (n,), which field each tile lies in.
        y_px: (n,) centre rows.
        x_px: (n,) centre columns.
        size_px: edge of a tile.
        counts: counts of the channels that are cut, the first of the fields; gets the pixels.

    Returns:
        (n, channels, size_px, size_px), little endian.

    Raises:
        ValueError: a tile that does not lie inside a field, see ``tiles_inside``.
    """
    top, left = tile_corner(y_px, size_px), tile_corner(x_px, size_px)
    last = np.array(fields.shape)[[0, 2, 3]] - (1, size_px, size_px)
    corners = np.stack([field, top, left], axis=1)
    if (corners < 0).any() or (corners > last).any():
        raise ValueError(f"tiles of {size_px} px outside fields of shape {fields.shape}")
    out = np.empty((len(field), len(counts.counts), size_px, size_px), dtype=fields.dtype.newbyteorder("<"))
    if fields.dtype == np.uint16 and fields.flags.c_contiguous:
        _cut_and_count(fields, corners, out, counts.counts)
        return out
    for tile, (at, y, x) in zip(out, corners.tolist(), strict=True):
        tile[...] = fields[at, : len(tile), y : y + size_px, x : x + size_px]
    counts.add(out)
    return out


@compiled
def _cut_and_count(fields: Any, corners: Any, out: Any, counts: Any) -> None:
    """Copy 16-bit tiles, and count each channel of one while it lies in the processor's cache."""
    _, channels, height, width = fields.shape
    size, pixel = out.shape[3], 2
    whole = size // 4
    start, target = np.uint64(fields.ctypes.data), np.uint64(out.ctypes.data)
    for tile in range(len(corners)):
        at, top, left = corners[tile]
        for channel in range(out.shape[1]):
            for row in range(size):
                source = start + np.uint64(pixel * (((at * channels + channel) * height + top + row) * width + left))
                for word in range(whole):
                    store_word(target + np.uint64(8 * word), load_word(source + np.uint64(8 * word)))
                for column in range(whole * 4, size):
                    out[tile, channel, row, column] = fields[at, channel, top + row, left + column]
                target += np.uint64(pixel * size)
            count_pixels(out[tile, channel].reshape(-1), counts[channel])


_LOW, _HIGH = 0.5, 99.8


def overview_sites(plate: Plate, config: IngestConfig) -> set[tuple[str, int]]:
    """Return the (well, site) of a plate that get pictures: drawn by seed, from as many wells as there are."""
    sites = plate.sites()
    order = random_order(len(sites), config.seed, "overview", plate.name)
    drawn = [(sites[index][0].well, sites[index][1].number) for index in order]
    seen: dict[str, int] = {}
    turns: list[tuple[int, int, str, int]] = []
    for well, number in drawn:
        seen[well] = seen.get(well, -1) + 1
        turns.append((seen[well], len(turns), well, number))
    return {(well, number) for _, _, well, number in sorted(turns)[: config.qc.sites_per_plate]}


def write_overview(
    stack: npt.NDArray[Any], plate: str, plate_key: str, bag: Bag, site: Site, config: IngestConfig, root: Path
) -> list[Overview]:
    """Write one PNG per channel and return what each shows.

    Args:
        stack: (C, H, W), corrected, channels as ``config.read_channels``.
        plate: name of the plate.
        plate_key: the plate in file names.
        bag: the well.
        site: the field of view.
        config: config of the ingest.
        root: dataset folder.
    """
    names = safe_names(config.read_channels)
    entries = []
    for channel, image in zip(config.read_channels, stack, strict=True):
        scale = min(1.0, config.qc.max_px / max(image.shape))
        small = image.astype(np.float32)
        if scale < 1:
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            small = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        low, high = (float(value) for value in np.percentile(small, (_LOW, _HIGH)))
        shown = np.clip((small - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
        name = f"qc/site_{plate_key}_{bag.well}_s{site.number}_{names[channel]}.png"
        with writing(root / "qc"), replacing(root / name) as stream:
            stream.write(cv2.imencode(".png", shown)[1].tobytes())
        entries.append(
            Overview(
                file=name,
                plate=plate,
                well=bag.well,
                site=site.number,
                bag=bag.bag,
                channel=channel,
                scale=scale,
                low=low,
                high=high,
            )
        )
    return entries
