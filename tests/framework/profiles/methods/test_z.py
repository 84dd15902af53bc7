"""``z``: values worked out by hand."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from framework.errors import InputError
from framework.profiles import METHODS, NormaliseConfig, normalise
from framework.profiles.methods import Controls, Z, ZOptions
from wellstream.testing import NormalisationContract
from wellstream.testing.profiles import one_control, plates


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "z"}


class TestContractWithoutPrior(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "z", "prior": 0.0}


def test_without_a_prior_it_is_the_textbook_z() -> None:
    # Controls 1, 3, 5: mean 3, sd 2.
    controls = np.array([[1.0], [3.0], [5.0]])
    method = Z(ZOptions(prior=0.0))
    shared = method.learn(Controls(values=controls, groups=np.zeros(3, np.int64)))
    own = method.learn_group(controls, shared)
    np.testing.assert_allclose(method.apply(np.array([[7.0], [2.0]]), shared, own), [[2.0], [-0.5]])


def test_a_prior_averages_variances() -> None:
    # Two groups of two: variances 2 and 18, pooled 10. With prior 1 and one degree of freedom: (10 + 2) / 2 = 6.
    values = np.array([[0.0], [2.0], [10.0], [16.0]])
    method = Z(ZOptions(prior=1.0))
    shared = method.learn(Controls(values=values, groups=np.array([0, 0, 1, 1])))
    assert shared["spread"][0] == pytest.approx(np.sqrt(10))
    assert method.learn_group(values[:2], shared)["spread"][0] == pytest.approx(np.sqrt(6))
    # A plate with one control has the pooled spread alone.
    assert method.learn_group(values[:1], shared)["spread"][0] == pytest.approx(np.sqrt(10))


def test_one_control_without_a_prior_is_a_sentence() -> None:
    once = one_control(plates(("p1", "p2")), ("p2",))
    with pytest.raises(InputError, match="z: group 'p2': 1 control row has no spread of its own"):
        normalise(once, NormaliseConfig(steps=(ZOptions(prior=0.0),)))


def test_the_registry_names_every_method() -> None:
    assert METHODS.names() == ["asinh", "coral", "harmony", "mad", "percentile", "tvn", "whiten", "z"]
