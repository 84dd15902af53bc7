"""Where in its field of view a tile was cut: what ``y_px`` and ``x_px`` of tiles.parquet mean in whole pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def tile_corner(centre_px: npt.NDArray[Any], size_px: int) -> npt.NDArray[np.int64]:
    """Return the first row (or column) of the tile around each centre.

    Args:
        centre_px: (K,) positions, 0 is the middle of the first pixel.
        size_px: edge of a tile.

    Returns:
        int64 (K,); for an even edge the rounded centre is the pixel right after the middle of the tile.
    """
    return np.floor(np.asarray(centre_px, dtype=np.float64) + 0.5).astype(np.int64) - size_px // 2
