"""CORAL by hand, and on batches whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from framework.features.coral import coral


def test_controls_get_the_mean_and_covariance_of_the_target() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)) + 5
    target = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))
    moved = coral(source, source, target, ridge=0)
    assert np.cov(moved.T) == pytest.approx(np.cov(target.T), abs=1e-9)
    assert moved.mean(axis=0) == pytest.approx(target.mean(axis=0), abs=1e-12)


def test_one_feature_by_hand() -> None:
    """Variances 4 and 1, ridge 0: (x - 1) / 2 * 1 + 10; with ridge 5 it is (x - 1) sqrt(6 / 9) + 10."""
    source, target = np.array([[-1.0], [1.0], [3.0]]), np.array([[9.0], [10.0], [11.0]])
    x = np.array([[1.0], [5.0]])
    assert coral(x, source, target, ridge=0).ravel() == pytest.approx([10, 12])
    assert coral(x, source, target, ridge=5).ravel() == pytest.approx([10, 10 + 4 * np.sqrt(6 / 9)])
    assert coral(x, source, target, ridge=0, means=False).ravel() == pytest.approx([1, 3])


def test_a_batch_like_the_target_stays_and_few_controls_are_refused() -> None:
    values = np.random.default_rng(1).normal(size=(10, 20))
    assert coral(values, values, values) == pytest.approx(values)
    with pytest.raises(ValueError, match="two controls or more"):
        coral(values, values[:1], values)
