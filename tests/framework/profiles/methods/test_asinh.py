"""``asinh``: values worked out by hand, and the scale that controls choose."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from framework.profiles.methods import Asinh, AsinhOptions, Controls
from wellstream.testing import NormalisationContract


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "asinh"}


class TestContractOfFixedScale(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "asinh", "scale": 2.0}


def test_small_values_stay_and_large_ones_are_compressed() -> None:
    method = Asinh(AsinhOptions(scale=2.0))
    result = method.apply(np.array([[0.001, 2 * np.sinh(3.0), -2 * np.sinh(3.0)]]), {"scale": np.array([2.0])}, {})
    np.testing.assert_allclose(result, [[0.001, 6.0, -6.0]], rtol=1e-6)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_scale_of_controls_that_are_sinh_normal_is_found(scale: float) -> None:
    normal = np.random.default_rng(0).normal(size=(4000, 3)) * scale
    controls = Controls(values=scale * np.sinh(normal / scale), groups=np.zeros(4000, np.int64))
    assert Asinh(AsinhOptions()).learn(controls)["scale"][0] == pytest.approx(scale, rel=0.1)


def test_normal_controls_choose_no_compression() -> None:
    controls = Controls(values=np.random.default_rng(1).normal(size=(4000, 3)), groups=np.zeros(4000, np.int64))
    assert Asinh(AsinhOptions()).learn(controls)["scale"][0] > 5
