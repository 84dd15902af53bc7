"""Fields of view put together again from their tiles, or tiles side by side where no field is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.data.export.cells import Bag, CellSource
from framework.data.format.schema import of_plates
from framework.data.format.tile_index import tile_corner
from framework.data.permutation import I64

_MOST_EDGE = 1 << 15
_MOST_BYTES = 1 << 30
"""Of a field; places that would need more are not believed."""
_GRID_BYTES = 1 << 27
"""Of tiles side by side in one image."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where tiles lie in one image.

    Attributes:
        site: number of the field of view; tiles side by side count from 1.
        tiles: int64 (n,).
        top: int64 (n,), first row of each tile in the image; it may lie outside.
        left: int64 (n,), first column.
        shape: (H, W) of the image.
        centres: whether tiles lie where they were cut.
    """

    site: int
    tiles: I64
    top: I64
    left: I64
    shape: tuple[int, int]
    centres: bool


class Mosaics:
    """Which images the cells of a dataset become.

    Tiles of a plate lie where they were cut; all fields of a dataset have one size, from their origin to the last pixel
    of any tile. Cells that were cropped elsewhere may have been resized, so they lie side by side.

    Args:
        cells: cells of the dataset.
    """

    def __init__(self, cells: CellSource) -> None:
        _, height, width = cells.shape
        self._cells = cells
        self._shape = (0, 0)
        self._corners: tuple[I64, I64] | None = None
        y, x = (cells.places[name].to_numpy(np.float64) for name in ("y_px", "x_px"))
        known = of_plates(cells.dataset.bags.columns.tolist()) and bool(np.isfinite(y).all() and np.isfinite(x).all())
        if known and max(np.abs(y).max(), np.abs(x).max()) < _MOST_EDGE:
            top, left = tile_corner(y, height), tile_corner(x, width)
            shape = int(top.max()) + height, int(left.max()) + width
            if min(shape) > 0 and math.prod(shape) * cells.shape[0] * cells.dtype.itemsize <= _MOST_BYTES:
                self._corners, self._shape = (top, left), shape

    @property
    def centres(self) -> bool:
        """Whether tiles lie where they were cut."""
        return self._corners is not None

    def fields(self, bag: Bag) -> Iterator[Field]:
        """Yield the images of a bag."""
        if self._corners is None:
            yield from self._side_by_side(bag)
            return
        sites = self._cells.places["site"].to_numpy()[bag.tiles]
        for site in np.unique(sites).tolist():
            tiles = bag.tiles[sites == site]
            top, left = (corner[tiles] for corner in self._corners)
            yield Field(site=site, tiles=tiles, top=top, left=left, shape=self._shape, centres=True)

    def _side_by_side(self, bag: Bag) -> Iterator[Field]:
        _, height, width = self._cells.shape
        edge = max(1, min(math.isqrt(_GRID_BYTES // self._cells.nbytes), _MOST_EDGE // max(height, width)))
        edge = min(edge, math.isqrt(len(bag.tiles) - 1) + 1)
        for number, first in enumerate(range(0, len(bag.tiles), edge * edge)):
            tiles = bag.tiles[first : first + edge * edge]
            row, column = np.divmod(np.arange(len(tiles)), edge)
            shape = (int(row[-1]) + 1) * height, min(edge, len(tiles)) * width
            yield Field(site=number + 1, tiles=tiles, top=row * height, left=column * width, shape=shape, centres=False)


def paint(field: Field, cells: CellSource) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint32]]:
    """Return an image and its labels.

    Returns:
        Pixels (C, H, W) as stored, 0 where no tile lies; labels uint32 (H, W): number of the tile plus 1 of the nearest
        centre among the tiles that hold the pixel, 0 where none does.
    """
    channels, height, width = cells.shape
    image = np.zeros((channels, *field.shape), dtype=cells.dtype.newbyteorder("="))
    labels = np.zeros(field.shape, dtype=np.uint32)
    nearest = np.full(field.shape, np.inf, dtype=np.float32)
    y, x = (np.arange(size, dtype=np.float32) - size // 2 for size in (height, width))
    distance = y[:, None] ** 2 + x**2
    corners = zip(field.top.tolist(), field.left.tolist(), strict=True)
    for tiles, pixels in cells.blocks(field.tiles):
        for number, tile, (top, left) in zip(tiles.tolist(), pixels, corners, strict=False):
            rows, columns = slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0))
            inside = slice(max(-top, 0), None), slice(max(-left, 0), None)
            image[:, rows, columns] = tile[:, *inside]
            nearer = distance[inside] < nearest[rows, columns]
            labels[rows, columns][nearer] = number + 1
            nearest[rows, columns][nearer] = distance[inside][nearer]
    return image, labels
