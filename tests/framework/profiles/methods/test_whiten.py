"""``whiten``: against numpy's covariance, and the strength that held-out controls choose."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from framework.errors import InputError
from framework.profiles.methods import Controls, Whiten, WhitenOptions
from framework.profiles.methods.shrinkage import Spectrum, choose_strength, deal_folds
from wellstream.testing import NormalisationContract


class TestContract(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "whiten"}


class TestContractOfFixedStrength(NormalisationContract):
    plain: ClassVar[dict[str, Any]] = {"name": "whiten", "strength": 0.3}


def correlated(n: int, d: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d))


def test_almost_unregularised_it_makes_the_covariance_the_identity() -> None:
    values = correlated(200, 5)
    method = Whiten(WhitenOptions(strength=1e-9))
    shared = method.learn(Controls(values=values, groups=np.zeros(200, np.int64)))
    white = method.apply(values, shared, method.learn_group(values, shared))
    np.testing.assert_allclose(np.cov(white.T), np.eye(5), atol=1e-6)


def test_it_is_the_inverse_root_of_the_shrunk_correlation() -> None:
    values = correlated(20, 6)
    method = Whiten(WhitenOptions(strength=0.25))
    shared = method.learn(Controls(values=values, groups=np.zeros(20, np.int64)))
    white = method.apply(values, shared, method.learn_group(values, shared))
    scaled = (values - values.mean(0)) / values.std(0, ddof=1)
    # The mean variance of standardised features is 1.
    eigenvalues, vectors = np.linalg.eigh(0.75 * np.corrcoef(values.T) + 0.25 * np.eye(6))
    np.testing.assert_allclose(white, scaled @ (vectors * eigenvalues**-0.5) @ vectors.T, atol=1e-9)


def test_full_strength_scales_features_alone() -> None:
    values = correlated(20, 6)
    method = Whiten(WhitenOptions(strength=1.0))
    shared = method.learn(Controls(values=values, groups=np.zeros(20, np.int64)))
    white = method.apply(values, shared, method.learn_group(values, shared))
    np.testing.assert_allclose(white, (values - values.mean(0)) / values.std(0, ddof=1), atol=1e-9)


def test_the_likelihood_is_that_of_scipy() -> None:
    values, other = correlated(6, 9), correlated(4, 9, seed=1)
    centred = values - values.mean(0)
    covariance = centred.T @ centred / 6
    shrunk = 0.8 * covariance + 0.2 * np.trace(covariance) / 9 * np.eye(9)
    expected = multivariate_normal(np.zeros(9), shrunk).logpdf(other).sum() + 4 * 4.5 * np.log(2 * np.pi)
    assert Spectrum.of(centred, 6).log_likelihood(other, 0.2) == pytest.approx(expected)


def test_controls_that_do_not_correlate_choose_more_strength() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 60))
    shared = np.random.default_rng(1).normal(size=(40, 3)) @ np.random.default_rng(2).normal(size=(3, 60)) * 5 + noise
    folds = deal_folds(np.arange(40) // 4, 5)
    assert choose_strength(noise, folds) > 0.8
    assert choose_strength(shared, folds) < 0.2


def test_folds_hold_whole_plates() -> None:
    groups = np.repeat(np.arange(7), 3)
    folds = deal_folds(groups, 5)
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    assert all(len(set(folds[groups == group].tolist())) == 1 for group in range(7))
    assert deal_folds(np.zeros(4, np.int64), 5).tolist() == [0, 1, 2, 3]


def test_two_controls_are_too_few() -> None:
    controls = Controls(values=np.array([[0.0, 1.0], [1.0, 3.0]]), groups=np.zeros(2, np.int64))
    with pytest.raises(InputError, match=r"2 control rows in 1 group.* too few for whitening; expected 3"):
        Whiten(WhitenOptions()).learn(controls)
