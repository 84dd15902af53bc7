"""``tvn``: whitening, then CORAL of each plate."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from framework.profiles.methods import Controls, Tvn, TvnOptions, Whiten, WhitenOptions
from wellstream.testing import NormalisationContract


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "tvn"}


def test_a_large_prior_leaves_the_whitened_rows() -> None:
    values = np.random.default_rng(0).normal(size=(18, 5)) @ np.random.default_rng(1).normal(size=(5, 5))
    controls = Controls(values=values, groups=np.repeat([0, 1], 9))
    tvn, whiten = Tvn(TvnOptions(prior=1e9, strength=0.1)), Whiten(WhitenOptions(strength=0.1))
    shared, alone = tvn.learn(controls), whiten.learn(controls)
    moved = tvn.apply(values[:9], shared, tvn.learn_group(values[:9], shared))
    np.testing.assert_allclose(moved, whiten.apply(values[:9], alone, whiten.learn_group(values[:9], alone)), atol=1e-6)


def test_plates_get_covariances_that_are_more_alike() -> None:
    random = np.random.default_rng(0)
    stretch = np.diag([4.0, 1.0, 0.25])
    values = np.concatenate(
        [random.normal(size=(200, 3)) @ stretch, random.normal(size=(200, 3)) @ stretch[::-1, ::-1]]
    )
    groups = np.repeat([0, 1], 200)
    method = Tvn(TvnOptions(prior=0.0, ridge=1e-6, strength=0.001))
    shared = method.learn(Controls(values=values, groups=groups))
    first, second = (
        np.cov(method.apply(part, shared, method.learn_group(part, shared)).T) for part in (values[:200], values[200:])
    )
    np.testing.assert_allclose(first, second, atol=1e-3)
    np.testing.assert_allclose(first, np.eye(3), atol=0.02)
