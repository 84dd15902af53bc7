"""Shades of tiles, by hand."""

from __future__ import annotations

import numpy as np

from framework.data.format.schema import PERCENTILES, ChannelStatistics
from framework.report.figures.images import shades


def test_a_hot_pixel_does_not_darken_tiles_without_statistics() -> None:
    tiles = np.tile(np.linspace(100, 300, 64 * 64), (2, 1)).reshape(2, 1, 64, 64)
    tiles[0, 0, 0, 0] = 65_535
    found = shades(tiles, ("A",), {})
    assert found[0, 0, 0, 0] == 1.0
    assert abs(float(found[1].mean()) - 0.5) < 0.01


def test_statistics_of_the_dataset_come_first() -> None:
    percentiles = dict.fromkeys(PERCENTILES, 0.0) | {"99.9": 400.0}
    known = {"A": ChannelStatistics(mean=0.0, sd=1.0, percentiles=percentiles)}
    assert shades(np.full((1, 1, 2, 2), 100.0), ("A",), known).tolist() == np.full((1, 1, 2, 2), 0.25).tolist()
