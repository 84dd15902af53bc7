"""The bound of the percentile filter on images that would break it, against scipy's exact one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from data_tools.illumination.percentile_gaussian import percentile_filter

Image = npt.NDArray[np.float32]


def images() -> dict[str, Image]:
    rng = np.random.default_rng(5)
    flat = rng.normal(100, 0.5, (40, 37))
    outliers = flat.copy()
    outliers[rng.integers(0, 40, 6), rng.integers(0, 37, 6)] = [1e6, 5e5, 0, -1e6, 3e5, 7e4]
    two = np.where(rng.random((40, 37)) < 0.3, 3.0, 1000.0)
    halves = np.where(np.arange(37) < 18, 1.0, 1e4) + rng.normal(0, 1e-3, (40, 37))
    made = {
        "constant": np.full((40, 37), 7.25),
        "constant beside one bright pixel": np.where(np.arange(40 * 37).reshape(40, 37) == 700, 1e6, 7.25),
        "two values": two,
        "noise": flat,
        "outliers": outliers,
        "a slope beside an outlier": np.where(
            outliers > 1e5, outliers, np.linspace(0, 1, 37)[None] + np.zeros((40, 1))
        ),
        "two plateaus": halves,
        "narrow, far from 0": 1e6 + rng.integers(0, 40, (40, 37)) / 16,
        "many orders": np.exp(rng.normal(0, 8, (40, 37))),
        "negative": -np.exp(rng.normal(0, 4, (40, 37))),
    }
    return {name: image.astype(np.float32) for name, image in made.items()}


@pytest.mark.parametrize("percentile", [0, 10, 50, 99, 100])
@pytest.mark.parametrize("name", images())
def test_every_answer_is_less_than_a_256th_of_their_span_below_the_exact_one(name: str, percentile: float) -> None:
    image = images()[name]
    for size in (5, 12):
        exact = ndimage.percentile_filter(image, percentile, size=size, mode="reflect").astype(np.float64)
        below = exact - percentile_filter(image, percentile=percentile, size_px=size).astype(np.float64)
        span = exact.max() - exact.min()
        assert below.min() >= 0
        assert below.max() < span / 256 if span else below.max() == 0
