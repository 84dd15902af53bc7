"""``coral``: against ``framework.evaluate.Coral``, which works in all dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from framework.errors import InputError
from framework.evaluate import Coral
from framework.profiles.methods import Controls, CoralMethod, CoralOptions
from framework.profiles.methods.residuals import Residuals
from wellstream.testing import NormalisationContract


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "coral"}


class TestContractWithoutPrior(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "coral", "prior": 0.0, "ridge": 0.1}


def test_without_a_prior_it_is_coral_of_the_scaled_controls() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat([0, 1], 9)
    values = random.normal(size=(18, 5)) @ random.normal(size=(5, 5))
    controls = Controls(values=values, groups=groups)
    method = CoralMethod(CoralOptions(prior=0.0, ridge=0.5))
    shared = method.learn(controls)
    own = method.learn_group(values[:9], shared)
    treated = random.normal(size=(4, 5))
    residuals = Residuals.of(controls)
    # Their covariance is divided by 17 in Coral, and by the 16 degrees of freedom here.
    expected = Coral.fit(residuals.values[:9], residuals.values * np.sqrt(17 / 16), 0.5)
    scaled = (treated - values[:9].mean(0)) / residuals.sd
    np.testing.assert_allclose(method.apply(treated, shared, own), expected.apply(scaled), atol=1e-9)


def test_a_large_prior_changes_nothing_but_the_scale() -> None:
    random = np.random.default_rng(0)
    values, groups = random.normal(size=(18, 5)), np.repeat([0, 1], 9)
    controls = Controls(values=values, groups=groups)
    method = CoralMethod(CoralOptions(prior=1e9))
    shared = method.learn(controls)
    moved = method.apply(values[:9], shared, method.learn_group(values[:9], shared))
    np.testing.assert_allclose(moved, Residuals.of(controls).values[:9], atol=1e-6)


def test_controls_that_are_all_equal_are_refused() -> None:
    controls = Controls(values=np.ones((6, 3)), groups=np.repeat([0, 1], 3))
    with pytest.raises(InputError, match="all controls of a group have equal features"):
        CoralMethod(CoralOptions()).learn(controls)
