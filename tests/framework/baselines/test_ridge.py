"""The regression of baselines beside scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from framework.baselines import ridge

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("rows", "features"), [(40, 5), (12, 30)])
def test_predictions_are_those_of_scikit_learn_at_the_chosen_strength(rows: int, features: int) -> None:
    x, seen = RANDOM.normal(3, 2, (rows, features)), RANDOM.normal(3, 2, (7, features))
    y = x[:, :2] @ np.array([[1.0, 0.5], [-2.0, 0.1]]) + RANDOM.normal(0, 0.3, (rows, 2))
    found = ridge(x, y, seen, np.arange(rows))
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    said = Ridge(alpha=found.strength).fit(scaled, (y - y.mean(axis=0)) / y.std(axis=0))
    expected = said.predict((seen - x.mean(axis=0)) / x.std(axis=0)) * y.std(axis=0) + y.mean(axis=0)
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-6, atol=1e-8)
    assert found.features == features


def test_noise_is_shrunk_to_the_mean_and_a_line_is_not() -> None:
    x = RANDOM.normal(size=(200, 3))
    noise = ridge(x, RANDOM.normal(5, 1, (200, 1)), x[:50], np.arange(200))
    line = ridge(x, x[:, :1] * 2 + 5, x[:50], np.arange(200))
    assert noise.strength >= 100 > 1 > line.strength
    np.testing.assert_allclose(line.predicted[:, 0], x[:50, 0] * 2 + 5, atol=0.01)


def test_without_features_the_mean_of_known_labels_is_left() -> None:
    labels = np.array([[1.0, np.nan], [3.0, 4.0], [5.0, 8.0]])
    found = ridge(np.empty((3, 0)), labels, np.empty((2, 0)), np.arange(3))
    assert found.predicted.tolist() == [[3, 6], [3, 6]]
    assert (found.strength, found.features) == (float("inf"), 0)
    constant = ridge(np.full((3, 1), 7.0), labels, np.array([[7.0], [9.0]]), np.arange(3))
    assert constant.predicted.tolist() == found.predicted.tolist()


def test_strength_is_chosen_with_groups_kept_apart() -> None:
    # Features are equal within a group and say nothing of the label: within a group it is known by them, beyond it not.
    groups = np.repeat(np.arange(10), 20)
    labels = RANDOM.normal(size=10)[groups][:, None]
    names = RANDOM.normal(size=(10, 20))[groups]
    assert ridge(names, labels, names, groups).strength > ridge(names, labels, names, np.arange(200)).strength
    assert ridge(names, labels, names, groups).strength >= 100


def test_missing_features_count_as_the_mean() -> None:
    x = np.array([[1.0], [2.0], [3.0], [np.nan]])
    found = ridge(x, np.array([[1.0], [2.0], [3.0], [2.0]]), np.array([[np.nan], [2.0]]), np.arange(4))
    assert found.predicted[0, 0] == pytest.approx(found.predicted[1, 0]) == pytest.approx(2.0)


def test_the_strength_may_be_the_one_of_the_best_correlation_among_given_ones() -> None:
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(3), 20)
    train, test = random.normal(size=(60, 30)), random.normal(size=(7, 30))
    labels = train[:, :4] + random.normal(0, 2.0, (60, 4))
    strengths = (1.0, 30.0, 1_000.0)
    medians = []
    for strength in strengths:
        of_folds = []
        for group in range(3):
            scale = StandardScaler().fit(train[groups != group])
            model = Ridge(alpha=strength).fit(scale.transform(train[groups != group]), labels[groups != group])
            said = model.predict(scale.transform(train[groups == group]))
            of_folds.append([np.corrcoef(said[:, one], labels[groups == group, one])[0, 1] for one in range(4)])
        medians.append(np.median(np.mean(of_folds, axis=0)))
    best = strengths[int(np.argmax(medians))]
    fit = ridge(train, labels, test, groups, 3, strengths=strengths, by="r")
    assert fit.strength == best
    scale = StandardScaler().fit(train)
    expected = Ridge(alpha=best).fit(scale.transform(train), labels).predict(scale.transform(test))
    np.testing.assert_allclose(fit.predicted, expected, rtol=1e-9)
