"""Thresholds, against scikit-image's Otsu and by construction."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from data_tools.nuclei.threshold import find_levels


def _two_classes(share: float, gap: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    bright = generator.random((300, 300)) < share
    return (generator.normal(200, 20, (300, 300)) + gap * bright).astype(np.float32)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("gap", [300, 3000])
def test_it_is_otsu_where_there_are_two_classes(share: float, gap: float) -> None:
    image = _two_classes(share, gap)
    levels = find_levels(image, "otsu", 14)
    assert levels is not None
    assert np.mean((image > levels.threshold) == (image > threshold_otsu(image))) > 0.9999
    assert levels.background == pytest.approx(200, abs=2)


@pytest.mark.parametrize("hot", [65535.0, 1e9])
def test_few_hot_pixels_move_nothing(hot: float) -> None:
    image = _two_classes(0.3, 300)
    before = find_levels(image, "otsu", 14)
    image.ravel()[:30] = hot  # a quarter of a nucleus of 14 px is 38 px
    after = find_levels(image, "otsu", 14)
    assert before is not None
    assert after is not None
    assert after.threshold == pytest.approx(before.threshold, abs=2)
    assert after.background == pytest.approx(before.background, abs=2)


@pytest.mark.parametrize("sd", [1.0, 30.0, 500.0])
def test_noise_alone_is_background(sd: float) -> None:
    image = np.random.default_rng(1).normal(1000, sd, (300, 300)).astype(np.float32)
    levels = find_levels(image, "otsu", 14)
    assert levels is not None
    assert np.mean(image > levels.threshold) < 1e-4


def test_one_nucleus_in_a_field_of_noise_is_above_the_threshold() -> None:
    image = np.random.default_rng(2).normal(200, 20, (1000, 1000)).astype(np.float32)
    image[500:512, 500:512] += 1500
    levels = find_levels(image, "otsu", 14)
    assert levels is not None
    assert np.all(image[500:512, 500:512] > levels.threshold)
    assert np.mean(image > levels.threshold) < 2e-4


@pytest.mark.parametrize("value", [0, 500, 65535])
def test_a_constant_image_has_no_levels(value: float) -> None:
    assert find_levels(np.full((20, 20), value, np.float32), "otsu", 14) is None


def test_a_fixed_threshold_is_taken_as_it_is() -> None:
    levels = find_levels(_two_classes(0.3, 300), 321.5, 14)
    assert levels is not None
    assert levels.threshold == 321.5
