"""Tiles: square crops around nuclei, cut from a corrected field of view.

A nucleus whose tile would leave the image gets none; nothing is padded, because padding would teach a model where the
edge of a field was.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from framework.config import StrictModel
from framework.data.format.tile_index import tile_corner

HAS_TILE = "tile"
"""Status of a cell or nucleus that has a tile; any other status says why there is none."""


class TilesConfig(StrictModel):
    """Size and stored type of the tiles.

    Attributes:
        size_px: edge of a tile.
        dtype: stored pixels: ``uint16`` for cameras that count (uint8 and uint16 images), ``float32`` for images that
            are already floating point.
    """

    size_px: int = Field(default=128, ge=4, le=4096)
    dtype: Literal["uint16", "float32"] = "uint16"


def tiles_inside(
    y_px: npt.NDArray[Any], x_px: npt.NDArray[Any], size_px: int, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return which tiles lie wholly in an image of ``shape`` (H, W): bool (K,)."""
    top, left = tile_corner(y_px, size_px), tile_corner(x_px, size_px)
    inside: npt.NDArray[np.bool_] = (
        (top >= 0) & (left >= 0) & (top + size_px <= shape[0]) & (left + size_px <= shape[1])
    )
    return inside
