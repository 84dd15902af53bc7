"""``mad``: values worked out by hand."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from framework.profiles.methods import Controls, Mad, MadOptions
from wellstream.testing import NormalisationContract


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "mad"}


def test_it_is_the_median_and_its_deviation() -> None:
    # Median 3, deviations 2 1 0 1 97: their median is 1.
    controls = np.array([[1.0], [2.0], [3.0], [4.0], [100.0]])
    method = Mad(MadOptions(prior=0.0))
    shared = method.learn(Controls(values=controls, groups=np.zeros(5, np.int64)))
    own = method.learn_group(controls, shared)
    assert method.apply(np.array([[3.0 + 1.4826]]), shared, own)[0, 0] == pytest.approx(1.0)


def test_a_feature_most_of_whose_controls_are_equal_has_its_sd() -> None:
    controls = np.array([[0.0], [0.0], [0.0], [0.0], [2.0]])
    method = Mad(MadOptions(prior=0.0))
    shared = method.learn(Controls(values=controls, groups=np.zeros(5, np.int64)))
    # The median is 0, four degrees of freedom: 4 / 4.
    assert shared["spread"][0] == pytest.approx(1.0)
    assert method.learn_group(controls, shared)["spread"][0] == pytest.approx(1.0)
