"""Flat-fields: exact means, the percentile filter against scipy's, and what a correction does."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from data_tools.illumination import StreamingMean, correct, fit_flatfield
from data_tools.illumination.percentile_gaussian import percentile_filter
from framework.errors import InputError


def _images(dtype: type, count: int = 9) -> list[npt.NDArray[np.generic]]:
    generator = np.random.default_rng(3)
    if dtype is np.float32:
        return [generator.random((6, 5), dtype=np.float32) for _ in range(count)]
    return [generator.integers(0, np.iinfo(dtype).max + 1, (6, 5), dtype=dtype) for _ in range(count)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_mean_is_the_mean(dtype: type) -> None:
    images = _images(dtype)
    mean = StreamingMean()
    for image in images:
        mean.add(image)
    assert mean.mean().dtype == np.float32
    np.testing.assert_allclose(mean.mean(), np.mean(images, axis=0, dtype=np.float64), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("cuts", [(0, 9), (0, 1, 9), (0, 4, 5, 9), (0, 0, 7, 9)])
def test_order_and_workers_change_no_bit(dtype: type, cuts: tuple[int, ...]) -> None:
    images = _images(dtype)
    whole = StreamingMean()
    for image in images:
        whole.add(image)
    shuffled = [images[index] for index in (4, 8, 1, 0, 3, 7, 2, 6, 5)]
    parts = []
    for start, stop in itertools.pairwise(cuts):
        part = StreamingMean()
        for image in shuffled[start:stop]:
            part.add(image)
        parts.append(part)
    merged = StreamingMean()
    for part in reversed(parts):
        merged.merge(part)
    assert merged.count == whole.count == 9
    np.testing.assert_array_equal(merged.mean(), whole.mean())


def test_merging_leaves_the_other_alone() -> None:
    one, two = StreamingMean(), StreamingMean()
    two.add(np.ones((2, 2), np.uint16))
    one.merge(two)
    one.add(np.full((2, 2), 3, np.uint16))
    np.testing.assert_array_equal(two.mean(), np.ones((2, 2)))
    np.testing.assert_array_equal(one.mean(), np.full((2, 2), 2.0))


def test_what_cannot_be_averaged_is_refused() -> None:
    mean = StreamingMean()
    with pytest.raises(InputError, match="no image of this channel can be read"):
        mean.mean()
    mean.add(np.ones((2, 2), np.uint16))
    with pytest.raises(InputError, match=r"shape \(2, 3\) among images of shape \(2, 2\)"):
        mean.add(np.ones((2, 3), np.uint16))
    with pytest.raises(InputError, match="integer and float images in one channel"):
        mean.add(np.ones((2, 2), np.float32))
    with pytest.raises(InputError, match="not finite"):
        StreamingMean().add(np.full((2, 2), np.nan, np.float32))


@pytest.mark.parametrize("size", [1, 2, 7, 10, 70])
@pytest.mark.parametrize("percentile", [0, 10, 37.5, 50, 100])
def test_the_percentile_filter_is_scipys_within_a_step(size: int, percentile: float) -> None:
    generator = np.random.default_rng(size)
    image = (generator.gamma(2, 100, (45, 60)) + np.linspace(0, 300, 60)).astype(np.float32)
    exact = ndimage.percentile_filter(image, percentile, size=size, mode="reflect")
    step = (exact.max() - exact.min() + 2 * (image.max() - image.min()) / 32) / 256
    ours = percentile_filter(image, percentile=percentile, size_px=size)
    tolerance = 1e-6 * image.max()
    assert ours.dtype == np.float32
    assert np.all(ours <= exact + tolerance)
    assert np.all(exact - ours <= step + tolerance)


def test_the_percentile_of_a_constant_is_that_constant() -> None:
    np.testing.assert_array_equal(percentile_filter(np.full((9, 8), 7), percentile=10, size_px=5), np.full((9, 8), 7.0))


@pytest.mark.parametrize(("kernel_px", "sigma_px"), [(9, 3.0), (90, 50.0), (4, 0.0)])
def test_the_profile_is_the_filtered_mean_over_its_mean(kernel_px: int, sigma_px: float) -> None:
    generator = np.random.default_rng(1)
    mean = generator.gamma(4, 50, (40, 50)).astype(np.float32) + np.linspace(50, 250, 50, dtype=np.float32)
    low = ndimage.percentile_filter(mean.astype(np.float64), 10, size=kernel_px, mode="reflect")
    smooth = ndimage.gaussian_filter(low, sigma_px, mode="reflect") if sigma_px else low
    profile = fit_flatfield(mean, kernel_px=kernel_px, sigma_px=sigma_px)
    assert profile.dtype == np.float32
    assert profile.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(profile, smooth / smooth.mean(), atol=0.02)


@pytest.mark.parametrize("sigma_px", [12.5, 50.0])
def test_a_wide_gaussian_is_scipys(sigma_px: float) -> None:
    mean = np.random.default_rng(2).gamma(4, 50, (90, 130)).astype(np.float32)
    smooth = ndimage.gaussian_filter(mean.astype(np.float64), sigma_px, mode="reflect")
    profile = fit_flatfield(mean, kernel_px=1, sigma_px=sigma_px)  # a window of one pixel keeps the image
    np.testing.assert_allclose(profile, smooth / smooth.mean(), rtol=1e-3)  # a step of the percentile filter


def test_fall_off_is_recovered_under_cells() -> None:
    y, x = np.mgrid[:216, :216]
    falloff = 1 - 0.4 * ((y - 108) ** 2 + (x - 108) ** 2) / 108**2 / 2
    mean = StreamingMean()
    generator = np.random.default_rng(5)
    for _ in range(30):
        cells = np.zeros((216, 216))
        cells[generator.integers(0, 216, 60), generator.integers(0, 216, 60)] = 4e4
        mean.add(((400 + ndimage.gaussian_filter(cells, 4)) * falloff).astype(np.uint16))
    profile = fit_flatfield(mean.mean(), kernel_px=25, sigma_px=10)
    inner = np.s_[20:-20, 20:-20]
    ratio = (profile / falloff)[inner]
    assert ratio.std() / ratio.mean() < 0.03
    assert falloff[inner].std() / falloff[inner].mean() > 0.05


def test_a_profile_is_never_zero_nor_negative() -> None:
    mean = np.full((40, 40), 500.0, np.float32)
    mean[:, :30] = 0
    profile = fit_flatfield(mean, kernel_px=3, sigma_px=1)
    assert profile.min() > 0
    assert profile.mean(dtype=np.float64) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("mean", "match"),
    [
        (np.zeros((20, 20), np.float32), "channel 'ER': no flat-field can be fitted: all its images are black"),
        (np.eye(20, dtype=np.float32), "its percentile 10 is 0; check the channel, raise 'percentile'"),
        (np.full((20, 20), -3, np.float32), "all its images are black"),
    ],
)
def test_dark_channels_are_refused_by_name(mean: npt.NDArray[np.float32], match: str) -> None:
    with pytest.raises(InputError, match=match):
        fit_flatfield(mean, kernel_px=5, sigma_px=2, channel="ER")


def test_a_correction_divides_rounds_and_clips() -> None:
    image = np.array([[100, 3, 65535, 0]], np.uint16)
    flatfield = np.array([[0.8, 2.0, 0.5, 0.7]], np.float32)
    corrected = correct(image, flatfield)
    np.testing.assert_array_equal(corrected, [[125, 2, 65535, 0]])
    assert corrected.dtype == np.uint16
    np.testing.assert_array_equal(correct(image, flatfield, np.uint8), [[125, 2, 255, 0]])
    np.testing.assert_allclose(correct(image, flatfield, np.float32), [[125, 1.5, 131070, 0]])
    np.testing.assert_array_equal(image, [[100, 3, 65535, 0]])


def test_a_correction_needs_the_same_shape() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 2\) and a flat-field of shape \(1, 2\)"):
        correct(np.ones((2, 2), np.uint16), np.ones((1, 2), np.float32))


@pytest.mark.parametrize("by_merging", [False, True])
def test_sums_are_narrow_until_they_might_not_fit(by_merging: bool) -> None:
    bright = np.full((1, 2), 65_535, np.uint16)
    mean = StreamingMean(total=np.full((1, 2), 65_536 * 65_535, np.uint32), count=65_536)
    for images, dtype in ((65_537, np.uint32), (65_538, np.int64), (65_539, np.int64)):
        more = StreamingMean()
        more.add(bright)
        if by_merging:
            mean.merge(more)
        else:
            mean.add(bright)
        assert mean.total is not None
        assert mean.total.dtype == dtype
        np.testing.assert_array_equal(mean.total, [[images * 65_535] * 2])
        np.testing.assert_array_equal(mean.mean(), bright)
