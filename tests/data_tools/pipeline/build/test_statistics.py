"""Statistics from histograms against NumPy on the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.pipeline.build.parts import PERCENTILES, PixelCounts


def test_integers_are_exact_and_merge_in_any_order() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.gamma(2, 800, (6, 2, 9, 9)).astype(np.uint16)
    tiles[0, 0, 0, 0] = 65535
    parts = []
    for half in (tiles[:2], tiles[2:]):
        counts = PixelCounts.empty(2, False)
        counts.add(half)
        parts.append(counts)
    parts[1].merge(parts[0])
    for channel in range(2):
        pixels = tiles[:, channel].astype(np.float64)
        found = parts[1].statistics(channel)
        assert found.mean == pytest.approx(pixels.mean(), rel=1e-14)
        assert found.sd == pytest.approx(pixels.std(), rel=1e-12)
        assert tuple(found.percentiles) == PERCENTILES
        for key, value in found.percentiles.items():
            assert value == pytest.approx(np.percentile(pixels, float(key)), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 16])
def test_every_pixel_of_every_channel_is_counted_once(dtype: type, size: int) -> None:
    tiles = np.random.default_rng(size).integers(0, np.iinfo(dtype).max + 1, (4, 3, size, size)).astype(dtype)
    counts = PixelCounts.empty(2, False)
    for _ in range(2):
        counts.add(tiles[:, 1:])
    for channel in range(2):
        once = np.bincount(tiles[:, 1 + channel].ravel(), minlength=1 << 16)
        np.testing.assert_array_equal(counts.counts[channel], 2 * once)


def test_hand_worked() -> None:
    counts = PixelCounts.empty(1, False)
    counts.add(np.array([[[[1, 2, 3, 6]]]], dtype=np.uint16))
    found = counts.statistics(0)
    assert (found.mean, found.sd**2) == (3.0, pytest.approx(3.5))
    assert found.percentiles["50"] == 2.5
    assert found.percentiles["25"] == 1.75


def test_floats_are_within_a_percent_also_below_zero() -> None:
    rng = np.random.default_rng(1)
    tiles = np.concatenate([rng.normal(-3, 1, (3, 1, 20, 20)), rng.gamma(2, 0.1, (3, 1, 20, 20))]).astype(np.float32)
    counts = PixelCounts.empty(1, True)
    counts.add(tiles)
    found = counts.statistics(0)
    assert found.mean == pytest.approx(tiles.astype(float).mean(), rel=1e-9)
    assert found.sd == pytest.approx(tiles.astype(float).std(), rel=1e-9)
    for key, value in found.percentiles.items():
        assert value == pytest.approx(np.percentile(tiles.astype(float), float(key)), rel=0.02, abs=1e-3)


def test_nothing_counted_is_zero() -> None:
    found = PixelCounts.empty(1, False).statistics(0)
    assert (found.mean, found.sd, set(found.percentiles.values())) == (0.0, 0.0, {0.0})
