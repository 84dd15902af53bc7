"""Nearest neighbours against scikit-learn's brute force and hand-worked cases: ties, duplicates, cancellation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from framework.errors import InputError
from framework.features import neighbours
from framework.features.neighbours import nearest, standardise, vote, vote_for_each


def brute(query: np.ndarray, reference: np.ndarray, k: int, exclude: np.ndarray | None = None) -> tuple:
    """Distances in float64 from the differences, ties to the lower row."""
    difference = query[:, None, :].astype(np.float64) - reference[None].astype(np.float64)
    squared = (difference**2).sum(axis=2)
    if exclude is not None:
        squared[exclude] = np.inf
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.sqrt(np.take_along_axis(squared, order, axis=1))


@pytest.mark.parametrize("k", [1, 11, 40])
@pytest.mark.parametrize(("n", "m", "d"), [(30, 50, 3), (257, 333, 20), (5, 41, 384)])
def test_equal_to_scikit_learn(n: int, m: int, d: int, k: int) -> None:
    random = np.random.default_rng(n + k)
    query = random.normal(size=(n, d)).astype(np.float32)
    reference = random.normal(size=(m, d)).astype(np.float32)
    found = nearest(query, reference, k)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(reference.astype(np.float64))
    distances, rows = search.kneighbors(query.astype(np.float64))
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12)


def test_ties_go_to_the_lower_row() -> None:
    # On a small grid of whole numbers nearly every distance is shared by many points.
    random = np.random.default_rng(0)
    points = random.integers(0, 3, size=(200, 4)).astype(np.float32)
    found = nearest(points, points, 15)
    rows, distances = brute(points, points, 15)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.distances, distances)


def test_duplicates_have_distance_zero_and_leave_one_out_skips_only_the_cell_itself() -> None:
    random = np.random.default_rng(1)
    half = random.normal(size=(40, 30)).astype(np.float32)
    points = np.concatenate([half, half])
    cells = np.arange(80)
    found = nearest(points, points, 3, query_groups=cells, reference_groups=cells)
    np.testing.assert_array_equal(found.rows[:, 0], (cells + 40) % 80)
    np.testing.assert_array_equal(found.distances[:, 0], 0.0)


def test_points_far_from_the_origin_do_not_cancel() -> None:
    # |a|^2 is 3e9 here and the wanted distances are about 1: in float32, |a|^2 + |b|^2 - 2ab is off by hundreds.
    random = np.random.default_rng(2)
    points = (10_000 + random.normal(size=(300, 32))).astype(np.float32)
    found = nearest(points, points, 5, query_groups=np.arange(300), reference_groups=np.arange(300))
    rows, distances = brute(points, points, 5, np.eye(300, dtype=bool))
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.distances, distances)


def test_one_outlier_does_not_disturb_the_others() -> None:
    random = np.random.default_rng(3)
    points = random.normal(size=(120, 16)).astype(np.float32)
    points[7] = 1e5
    found = nearest(points, points, 4)
    rows, _ = brute(points, points, 4)
    np.testing.assert_array_equal(found.rows, rows)


def test_equal_points_everywhere() -> None:
    found = nearest(np.ones((70, 5), np.float32), np.ones((90, 5), np.float32), 11)
    np.testing.assert_array_equal(found.rows, np.tile(np.arange(11), (70, 1)))


def test_groups_are_left_out_whole() -> None:
    points = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]], np.float32)
    field = np.array([0, 0, 0, 1, 1])
    found = nearest(points, points, 2, query_groups=field, reference_groups=field)
    # Of field 0 only rows 3 and 4 remain for rows 0 to 2; of field 1 the nearest of rows 0 to 2 for rows 3 and 4.
    np.testing.assert_array_equal(found.rows, [[3, 4], [3, 4], [3, 4], [2, 1], [2, 1]])


def test_many_groups_against_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    points = random.normal(size=(300, 6)).astype(np.float32)
    field = random.integers(0, 5, 300)
    rows, _ = brute(points, points, 11, field[:, None] == field[None])
    whole = nearest(points, points, 11, query_groups=field, reference_groups=field)
    np.testing.assert_array_equal(whole.rows, rows)
    monkeypatch.setattr(neighbours, "_BLOCK_VALUES", 1000)
    monkeypatch.setattr(neighbours, "_RECHECK_VALUES", 64)
    blocked = nearest(points, points, 11, query_groups=field, reference_groups=field)
    np.testing.assert_array_equal(blocked.rows, rows)
    np.testing.assert_array_equal(blocked.distances, whole.distances)


def test_votes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(5)
    points = random.normal(size=(300, 4)).astype(np.float32)
    labels = random.integers(0, 4, 300)
    query = random.normal(size=(100, 4)).astype(np.float32)
    found = nearest(query, points, 10)
    ours = vote_for_each(found, labels, 4, (2, 4, 10))
    for k, predicted in ours.items():
        model = KNeighborsClassifier(k, algorithm="brute").fit(points.astype(np.float64), labels)
        np.testing.assert_array_equal(predicted, model.predict(query.astype(np.float64)))


def test_a_tied_vote_goes_to_the_lowest_label() -> None:
    np.testing.assert_array_equal(vote(np.array([[2, 1, 2, 1], [0, 3, 3, 0], [3, 2, 1, 0]]), 4), [1, 0, 0])


@pytest.mark.parametrize(("k", "groups"), [(0, None), (6, None), (5, [0, 1, 2, 3, 4]), (3, [0, 0, 0, 1, 1])])
def test_too_few_cells_are_refused(k: int, groups: list[int] | None) -> None:
    points = np.zeros((5, 2), np.float32)
    with pytest.raises(InputError, match="lower k"):
        nearest(points, points, k, query_groups=groups, reference_groups=groups)


def test_values_beyond_float32_are_refused() -> None:
    points = np.full((5, 2), 1e30, np.float32)
    with pytest.raises(InputError, match="standardise them first"):
        nearest(points, points, 1)


def test_standardise_gives_zero_for_constant_features_and_fits_on_the_rows_asked_for() -> None:
    values = np.array([[1.0, 0.1, 2.0], [3.0, 0.1, 2.0], [7.0, 0.1, 5.0]])
    scaled, constant = standardise(values, np.array([True, True, False]))
    assert constant == 2
    np.testing.assert_allclose(scaled, [[-1, 0, 0], [1, 0, 0], [5, 0, 0]])
    whole, constant = standardise(values)
    assert constant == 1
    np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(whole.std(axis=0), [1, 0, 1], atol=1e-6)
