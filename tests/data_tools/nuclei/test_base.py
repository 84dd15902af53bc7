"""Nucleus finding on made images whose nuclei are known, and against the same methods written with scipy."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from scipy.special import expit
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu

from data_tools.nuclei import NUCLEI, NucleiConfig, find_nuclei
from data_tools.nuclei.matching import match_centres
from framework.errors import InputError

METHODS = [name for name in NUCLEI.names() if NUCLEI.get(name).build.from_pixels]
GRID = np.array([(y, x) for y in range(40, 360, 40) for x in range(30, 370, 45)], dtype=np.float64)


def _field(
    centres: npt.NDArray[np.float64] = GRID,
    *,
    radius: float = 7,
    height: float = 1500,
    noise: float = 20,
    size: int = 400,
) -> npt.NDArray[np.float64]:
    y, x = np.mgrid[:size, :size]
    image = np.full((size, size), 200.0)
    for cy, cx in centres:
        image += height * expit(2 * (radius - np.hypot(y - cy, x - cx)))
    return np.clip(image + np.random.default_rng(0).normal(0, noise, image.shape), 0, 65535)


def _u16(image: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    return np.clip(np.rint(image), 0, 65535).astype(np.uint16)


def _config(method: str, diameter_px: float | None = 14.0, **more: object) -> NucleiConfig:
    options = {"channel": "DNA", "method": method, "diameter_px": diameter_px, **more}
    config: NucleiConfig = NUCLEI.get(method).config.from_plain(options)
    return config


def _assert_found(
    image: npt.NDArray[np.generic], truth: npt.NDArray[np.float64], config: NucleiConfig, within: float = 1
) -> None:
    nuclei = find_nuclei(image, config)
    matching = match_centres(nuclei.centres(), truth, within)
    assert (matching.recall, matching.precision) == (1, 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_separate_nuclei_are_found_to_a_pixel(method: str, dtype: type) -> None:
    image = _field()
    scaled = {np.uint8: image / 8, np.uint16: image, np.float32: image / 65535}[dtype]
    _assert_found(scaled.astype(dtype), GRID, _config(method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("diameter", [6, 9, 14, 25, 60])
def test_any_magnification(method: str, diameter: float) -> None:
    size = int(diameter * 12) + 3
    truth = np.array([(y, x) for y in range(1, 6) for x in range(1, 6)]) * diameter * 1.9 + 0.4 * diameter
    image = _u16(_field(truth, radius=diameter / 2, size=size))
    config = _config(method, diameter)
    _assert_found(image, truth, config, max(1, diameter / 14))
    matching = match_centres(find_nuclei(image, config).centres(), truth, diameter)
    found, known = matching.pairs.T
    shift = (find_nuclei(image, config).centres()[found] - truth[known]).mean(axis=0)
    np.testing.assert_allclose(shift, 0, atol=0.4)


@pytest.mark.parametrize("method", METHODS)
def test_um_and_px_agree(method: str) -> None:
    image = _u16(_field())
    in_um = find_nuclei(image, _config(method, None, diameter_um=7.0), 0.5)
    np.testing.assert_array_equal(in_um.centres(), find_nuclei(image, _config(method)).centres())
    with pytest.raises(InputError, match="needs a pixel size"):
        find_nuclei(image, _config(method, None, diameter_um=7.0))


@pytest.mark.parametrize("method", METHODS)
def test_nuclei_are_sorted_scored_and_the_same_each_time(method: str) -> None:
    image = _u16(_field())
    one, two = find_nuclei(image, _config(method)), find_nuclei(image, _config(method))
    for name in ("y_px", "x_px", "score"):
        values = getattr(one, name)
        assert values.dtype == np.float32
        assert values.shape == (len(one),)
        np.testing.assert_array_equal(values, getattr(two, name))
    places = list(zip(one.y_px.tolist(), one.x_px.tolist(), strict=True))
    assert places == sorted(places)
    assert np.all((one.score > 0) & (one.score <= 1))
    middle = float(np.median(one.score))
    stricter = find_nuclei(image, _config(method, min_score=middle))
    assert len(stricter) == np.count_nonzero(one.score >= np.float32(middle))


@pytest.mark.parametrize("method", METHODS)
def test_bright_nuclei_score_higher(method: str) -> None:
    dim, bright = GRID[GRID[:, 0] < 200], GRID[GRID[:, 0] >= 200]
    score = find_nuclei(_u16(_field(dim, height=1000) + _field(bright, height=2000)), _config(method)).score
    assert len(score) == len(GRID)
    low, high = score[: len(dim)], score[len(dim) :]
    if method == "log_binary":
        assert abs(high.mean() - low.mean()) < 0.1
    else:
        assert high.min() > low.max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((90, 80), np.uint16),
        np.full((90, 80), 65535, np.uint16),
        np.full((90, 80), 0.3, np.float32),
        np.ones((1, 1), np.uint16),
        np.random.default_rng(0).poisson(100, (400, 400)).astype(np.uint16),
        np.random.default_rng(0).normal(1000, 200, (400, 400)).astype(np.float32),
    ],
    ids=["black", "saturated", "constant", "one pixel", "shot noise", "noise"],
)
def test_fields_without_nuclei(method: str, image: npt.NDArray[np.generic]) -> None:
    assert len(find_nuclei(image, _config(method))) == 0


@pytest.mark.parametrize("method", METHODS)
def test_hot_pixels_change_nothing(method: str) -> None:
    image = _u16(_field())
    generator = np.random.default_rng(4)
    image[generator.integers(0, 400, 200), generator.integers(0, 400, 200)] = 65535
    _assert_found(image, GRID, _config(method), 2)


def test_a_speck_is_no_nucleus() -> None:
    image = _u16(_field())
    image[200:204, 8:12] = 65535
    _assert_found(image, GRID, _config("intensity_peaks"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_nearly_empty_field(method: str, count: int) -> None:
    truth = GRID[:count] + 100
    _assert_found(_u16(_field(truth, size=1000)), truth, _config(method))


@pytest.mark.parametrize("method", METHODS)
def test_saturated_nuclei_are_one_each(method: str) -> None:
    _assert_found(_u16(_field(height=300000)), GRID, _config(method), 1.5)


@pytest.mark.parametrize("method", METHODS)
def test_uneven_light_and_offset(method: str) -> None:
    image = _field(noise=5) * np.linspace(0.6, 1.4, 400)
    _assert_found(_u16(image), GRID, _config(method))
    _assert_found(_u16(image + 20000), GRID, _config(method))


def test_touching_nuclei_are_told_apart() -> None:
    truth = np.array([(60, 60), (60, 72), (150, 60), (160, 68), (300, 200), (312, 200), (306, 211)], dtype=np.float64)
    _assert_found(_u16(_field(truth, radius=6)), truth, _config("intensity_peaks", 12.0), 2)


def test_a_mottled_nucleus_is_one() -> None:
    truth = GRID[::2]
    image = _field(truth, radius=15, noise=0)
    texture = ndimage.gaussian_filter(np.random.default_rng(8).normal(0, 1, image.shape), 2)
    image += 0.1 * (image - 200) * texture / texture.std()
    _assert_found(_u16(image), truth, _config("intensity_peaks", 30.0), 3)


def test_a_fixed_threshold_decides() -> None:
    image = _field(GRID[:4], height=600) + _field(GRID[4:9], height=3000)
    assert len(find_nuclei(_u16(image), _config("intensity_peaks", threshold=1500.0))) == 5
    assert len(find_nuclei(_u16(image), _config("intensity_peaks", threshold=600.0))) == 9


def _crowd() -> npt.NDArray[np.uint16]:
    generator = np.random.default_rng(11)
    image = np.zeros((400, 400))
    for y, x in generator.uniform(10, 390, (350, 2)):
        patch = np.zeros_like(image)
        axes = generator.uniform(4.5, 8, 2)
        cv2.ellipse(patch, (int(x), int(y)), (int(axes[0]), int(axes[1])), generator.uniform(0, 180), 0, 360, 1.0, -1)
        image = np.maximum(image, patch * generator.uniform(800, 3000))
    return _u16(200 + ndimage.gaussian_filter(image, 1.2) + generator.normal(0, 25, image.shape))


@pytest.mark.parametrize("method", ["log_binary", "log_intensity"])
def test_the_log_methods_are_those_of_scipy(method: str) -> None:
    image = _crowd()
    plain = ndimage.median_filter(image, 3).astype(np.float64)
    mask = plain > threshold_otsu(plain.astype(np.uint16))
    source = mask.astype(np.float64) if method == "log_binary" else np.where(mask, plain - np.median(plain[~mask]), 0)
    response = -ndimage.gaussian_laplace(source, 13 / np.sqrt(8))
    expected = peak_local_max(response * mask, min_distance=1, threshold_abs=0, exclude_border=False)
    found = find_nuclei(image, _config(method, 13.0)).centres()
    assert len(expected) > 150
    matching = match_centres(found, expected.astype(np.float64), 2)
    assert matching.recall >= 0.99
    assert matching.precision >= 0.95


def test_the_peaks_are_those_of_scipy() -> None:
    image = _crowd()
    plain = ndimage.median_filter(image, 3).astype(np.float64)
    mask = plain > threshold_otsu(plain.astype(np.uint16))
    smooth = ndimage.gaussian_filter(np.where(mask, plain - np.median(plain[~mask]), 0), 0.15 * 13)
    peaks = peak_local_max(smooth * mask, min_distance=4, threshold_abs=0, exclude_border=False)
    away = np.ones(image.shape, dtype=bool)
    away[tuple(peaks.T)] = False
    distance, nearest = ndimage.distance_transform_edt(away, return_indices=True)
    label = np.zeros(image.shape, dtype=int)
    label[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    owned = np.where(mask & (distance <= 13), label[tuple(nearest)], 0)
    numbers = np.arange(1, len(peaks) + 1)
    centroids = np.array(ndimage.center_of_mass(mask, owned, numbers))
    area = ndimage.sum_labels(mask, owned, numbers)
    found = find_nuclei(image, _config("intensity_peaks", 13.0)).centres()
    # scipy's version knows no saddles: nuclei cut into two pieces there are one here
    matching = match_centres(found, centroids[area >= 0.25 * np.pi / 4 * 169], 2)
    assert matching.recall >= 0.9
    assert matching.precision >= 0.95
