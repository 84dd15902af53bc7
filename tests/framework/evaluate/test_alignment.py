"""CORAL and canonical correlations, against values worked out by hand and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from framework.errors import InputError
from framework.evaluate import Coral, align_groups, batch_in_components, canonical_correlations


def test_without_a_ridge_mean_and_covariance_become_those_of_the_target() -> None:
    random = np.random.default_rng(0)
    source = random.normal(size=(200, 4)) @ random.normal(size=(4, 4)) + 3
    target = random.normal(size=(150, 4)) @ random.normal(size=(4, 4)) - 1
    moved = Coral.fit(source, target, ridge=0.0).apply(source)
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(np.cov(moved, rowvar=False), np.cov(target, rowvar=False), atol=1e-8)


def test_by_hand_with_the_ridge_of_the_publication() -> None:
    # Variances 1 -> 7 along one axis: sqrt((7 + 1) / (1 + 1)) = 2.
    moved = Coral.fit([[-1.0], [0.0], [1.0]], [[10 - 7**0.5], [10.0], [10 + 7**0.5]]).apply([[0.0], [2.0]])
    np.testing.assert_allclose(moved, [[10.0], [14.0]])


def test_covariances_alone_leave_the_mean() -> None:
    """Variances 4 and 1: (x - 1) / 2 + 1."""
    moved = Coral.fit([[-1.0], [1.0], [3.0]], [[9.0], [10.0], [11.0]], 0.0, means=False).apply([[1.0], [5.0]])
    np.testing.assert_allclose(moved, [[1.0], [3.0]])


def test_fewer_controls_than_dimensions_still_give_a_map() -> None:
    random = np.random.default_rng(1)
    moved = Coral.fit(random.normal(size=(5, 20)), random.normal(size=(6, 20)), ridge=0.0).apply(np.zeros((2, 20)))
    assert np.isfinite(moved).all()


def test_each_stimulation_is_moved_by_its_own_controls() -> None:
    random = np.random.default_rng(2)
    groups = np.repeat(["M1", "M2"], 60)
    control = np.tile([True, False], 60)
    values = random.normal(size=(120, 3)) + np.where(groups == "M2", 4.0, 0.0)[:, None]
    values[(groups == "M2") & ~control, 0] += 2.0  # what the perturbations of M2 do
    moved = align_groups(values, groups, control)
    means = [moved[(groups == name) & control].mean(axis=0) for name in ("M1", "M2")]
    np.testing.assert_allclose(means[0], means[1], atol=1e-9)
    np.testing.assert_allclose(means[0], values[control].mean(axis=0), atol=1e-9)
    effect = moved[(groups == "M2") & ~control].mean(axis=0) - means[1]
    assert effect[0] > 1.0
    before = batch_in_components(values[control], groups[control])
    after = batch_in_components(moved[control], groups[control])
    assert before["batch_share"][0] > 0.8
    assert after["batch_share"].max() < 1e-9


def test_the_share_of_the_batch_by_hand() -> None:
    table = batch_in_components([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [6.0, 0.0]], ["a", "a", "b", "b"])
    # Means 1 and 5 around 3: 4 x 4 of 9 + 1 + 1 + 9.
    assert table["batch_share"].tolist() == pytest.approx([16 / 20])
    assert table["variance_share"].tolist() == pytest.approx([1.0])


def test_canonical_correlations_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    shared = random.normal(size=(300, 2))
    left = np.hstack([shared, random.normal(size=(300, 2))]) @ random.normal(size=(4, 4))
    right = shared @ random.normal(size=(2, 3)) + 0.5 * random.normal(size=(300, 3))
    found = canonical_correlations(left, right)
    x, y = CCA(n_components=3, max_iter=20000, tol=1e-12).fit_transform(left, right)
    theirs = [abs(np.corrcoef(x[:, at], y[:, at])[0, 1]) for at in range(3)]
    np.testing.assert_allclose(found.correlations, theirs, rtol=1e-4)
    loading = np.corrcoef(left[:, 1], x[:, 0])[0, 1]
    assert abs(found.left[1, 0]) == pytest.approx(abs(loading), rel=1e-3)
    assert (found.left.shape, found.right.shape) == ((4, 3), (3, 3))


def test_a_constant_feature_has_no_loading_and_harms_nothing() -> None:
    random = np.random.default_rng(4)
    left, right = random.normal(size=(50, 2)), random.normal(size=(50, 2))
    right[:, 0] = left[:, 0]
    found = canonical_correlations(np.hstack([left, np.full((50, 1), 7.0)]), right)
    assert found.correlations[0] == pytest.approx(1.0)
    assert np.isnan(found.left[2]).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: align_groups(np.eye(3), ["a", "a", "b"], [True, True, False]), "group 'b' has 0 control row"),
        (lambda: Coral.fit(np.eye(3), np.eye(4)), "source vectors are 3 long, target vectors 4"),
        (lambda: Coral.fit([[np.nan], [1.0]], [[1.0], [2.0]]), "source: row 1, feature 1 is nan"),
        (lambda: canonical_correlations(np.eye(4), np.eye(4)[:3]), "4 and 3 rows"),
        (lambda: canonical_correlations(np.eye(9)[:, :5], np.eye(9)[:, 4:]), "always correlate fully"),
        (lambda: canonical_correlations(np.ones((9, 2)), np.eye(9)), "no feature that varies"),
    ],
)
def test_what_cannot_be_aligned_or_correlated_is_said(call, said: str) -> None:
    with pytest.raises(InputError, match=said):
        call()
