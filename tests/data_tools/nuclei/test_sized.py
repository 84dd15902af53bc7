"""Options of nucleus methods that know a size."""

from __future__ import annotations

from typing import Any

import pytest

from data_tools.nuclei import NUCLEI, IntensityPeaksConfig, LogBinaryConfig
from framework.config import StrictModel, choice, parse_config
from framework.errors import ConfigError, InputError


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
            "'min_area' has no meaning for 'log_binary'",
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
