"""Options of nucleus methods that know a size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from data_tools.nuclei import NUCLEI, IntensityPeaksConfig, LogBinaryConfig
from data_tools.nuclei.sized import find_levels
from framework.config import StrictModel, choice, parse_config
from framework.errors import ConfigError, InputError


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


class Ingest(StrictModel):
    nuclei: choice(NUCLEI, key="method", default="intensity_peaks")  # type: ignore[valid-type]


def nuclei(text: str) -> Any:
    lines = "\n".join(f"  {line}" for line in text.splitlines())
    return parse_config(f"nuclei:\n{lines}", Ingest, "c.yaml").nuclei


def test_a_diameter_in_um_becomes_px() -> None:
    config = IntensityPeaksConfig(channel="DNA", diameter_um=9.1)
    assert config.in_px(0.65) == pytest.approx(14)
    assert IntensityPeaksConfig(channel="DNA", diameter_px=13.0).in_px(None) == 13


def test_um_needs_a_pixel_size() -> None:
    with pytest.raises(InputError, match="needs a pixel size, which the export does not state; give 'diameter_px'"):
        IntensityPeaksConfig(channel="DNA", diameter_um=9.0).in_px(None)
    with pytest.raises(InputError, match=r"a nucleus of 9 um is 1\.8 px at 5 um a pixel"):
        IntensityPeaksConfig(channel="DNA", diameter_um=9.0).in_px(5.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channel: DNA", "expected exactly one of 'diameter_um' and 'diameter_px'"),
        ("channel: DNA\ndiameter_px: 13\ndiameter_um: 9", "expected exactly one of 'diameter_um' and 'diameter_px'"),
        ("channel: DNA\ndiameter_px: 3", "expected a number >= 4.0, found 3"),
        ("diameter_px: 13", "channel: missing key; expected the name of the channel with the nuclei"),
        (
            "channel: DNA\ndiameter_px: 13\nmethod: log_binery",
            "log_binary, log_intensity; did you mean 'log_binary'?",
        ),
        (
            "channel: D\ndiameter_px: 13\nmethod: log_binary\nmin_area: 0.3",
            "'min_area' has no effect for 'log_binary'",
        ),
    ],
)
def test_contradictions_are_config_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        nuclei(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(("value", "expected"), [("otsu", "otsu"), ("500", 500.0), ("0.2", 0.2)])
def test_the_threshold_is_otsu_or_a_number(value: str, expected: str | float) -> None:
    assert nuclei(f"channel: DNA\ndiameter_px: 13\nthreshold: {value}").threshold == expected


def test_what_a_dataset_keeps_of_the_options_has_all_keys_in_their_old_order() -> None:
    keys = ["channel", "diameter_um", "diameter_px", "method", "threshold", "min_score", "min_area"]
    for method in ("intensity_peaks", "log_intensity", "log_binary"):
        assert list(nuclei(f"channel: DNA\ndiameter_px: 13\nmethod: {method}").plain()) == keys
    assert LogBinaryConfig(channel="DNA", diameter_px=13.0).plain()["min_area"] is None
