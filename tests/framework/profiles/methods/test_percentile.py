"""``percentile``: values worked out by hand."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from framework.config import load_config
from framework.errors import ConfigError
from framework.profiles.config import NormaliseConfig
from framework.profiles.methods import Controls, Percentile, PercentileOptions
from wellstream.testing import NormalisationContract


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "percentile"}


def test_low_becomes_0_and_high_becomes_1() -> None:
    # Of 0, 10 .. 100 the 10th percentile is 10 and the 90th is 90.
    controls = np.arange(0.0, 101.0, 10.0)[:, None]
    method = Percentile(PercentileOptions(prior=0.0, low=10.0, high=90.0))
    shared = method.learn(Controls(values=controls, groups=np.zeros(11, np.int64)))
    own = method.learn_group(controls, shared)
    result = method.apply(np.array([[10.0], [90.0], [170.0]]), shared, own)
    np.testing.assert_allclose(result, [[0.0], [1.0], [2.0]])


def test_low_above_high_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="expected low below high, found 99 and 1"):
        load_config({"steps": [{"name": "percentile", "low": 99.0, "high": 1.0}]}, NormaliseConfig)
