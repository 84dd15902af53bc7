"""Every illumination method, and what a dataset keeps of its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from data_tools.illumination import ILLUMINATIONS
from framework.config import StrictModel, choice, parse_config
from framework.errors import ConfigError


class Ingest(StrictModel):
    illumination: choice(ILLUMINATIONS, key="method", default="percentile_gaussian")  # type: ignore[valid-type]


def illumination(text: str) -> Any:
    return parse_config(f"illumination: {text}", Ingest, "c.yaml").illumination


def test_the_default_is_that_of_the_paper_and_none_keeps_its_options() -> None:
    plain = {"method": "percentile_gaussian", "percentile": 10.0, "kernel_px": 250, "sigma_px": 50.0, "max_images": 3}
    assert list(illumination("{max_images: 3}").plain().items()) == list(plain.items())
    off = illumination("{method: none, max_images: 3}")
    assert list(off.plain().items()) == list({**plain, "method": "none"}.items())
    assert not off.corrects


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no illumination method is called 'basic'; .* of: export, none, perc"):
        illumination("{method: basic}")


def test_none_changes_nothing() -> None:
    mean = np.array([[3.0, 5.0]], dtype=np.float32)
    np.testing.assert_array_equal(ILLUMINATIONS.get("none").build(mean, illumination("{method: none}"), "DNA"), 1)
