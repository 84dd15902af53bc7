"""Which pixels a tile holds, worked out by hand on small images."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.tiles import tiles_inside


@pytest.mark.parametrize(
    ("y", "x", "inside"),
    [(2, 2, True), (1.4, 2, False), (8, 18, True), (8.5, 18, False), (8, 18.6, False), (2, 1, False)],
)
def test_tiles_that_leave_a_10_by_20_image_are_outside(y: float, x: float, inside: bool) -> None:
    assert tiles_inside(np.array([y]), np.array([x]), 4, (10, 20)).tolist() == [inside]
