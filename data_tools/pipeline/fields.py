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

from data_tools.pipeline.durable import explained
from data_tools.tiles import tile_corner

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
    channels: int,
) -> npt.NDArray[Any]:
    """Return a copy of tiles out of several fields.

    Args:
        fields: (S, C, H, W).
        field: (n,), which field each tile lies in.
        y_px: (n,) centre rows; the tiles must lie inside, see ``tiles_inside``.
        x_px: (n,) centre columns.
        size_px: edge of a tile.
        channels: the first so many are cut.

    Returns:
        (n, channels, size_px, size_px), little endian.
    """
    out = np.empty((len(field), channels, size_px, size_px), dtype=fields.dtype.newbyteorder("<"))
    corners = zip(field.tolist(), tile_corner(y_px, size_px).tolist(), tile_corner(x_px, size_px).tolist(), strict=True)
    for tile, (at, top, left) in zip(out, corners, strict=True):
        tile[...] = fields[at, :channels, top : top + size_px, left : left + size_px]
    return out
