"""The corrected fields of one well, kept until its tiles are cut.

The stored order of a well's tiles is random over all its fields, so no tile can be placed before the last field is
read. Keeping fields rather than their tiles writes nothing twice, and takes less where tiles overlap.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.pipeline.build.durable import explained
from data_tools.pipeline.build.statistics import PixelCounts, count_pixels
from framework.compiled import compiled, load_word, store_word
from framework.data.format.tile_place import tile_corner

_IN_MEMORY = 256 << 20


def open_fields(n_fields: int, shape: tuple[int, int, int], dtype: str, folder: Path) -> npt.NDArray[Any]:
    """Return room for fields: in memory up to 256 MiB, else in an unnamed file of ``folder`` that is mapped.

    Args:
        n_fields: of the well with the most.
        shape: (C, H, W) of a field.
        dtype: of its pixels.
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
        counts: of the channels that are cut, the first of the fields; gets the pixels.

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
