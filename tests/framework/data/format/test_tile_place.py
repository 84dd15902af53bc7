"""The first pixel of a tile, worked out by hand."""

from __future__ import annotations

import numpy as np

from framework.data.format.tile_place import tile_corner


def test_corner_rounds_the_centre_half_up() -> None:
    centres = np.array([4.0, 4.49, 4.5, 5.2])
    np.testing.assert_array_equal(tile_corner(centres, 8), [0, 0, 1, 1])
    np.testing.assert_array_equal(tile_corner(centres, 7), [1, 1, 2, 2])
