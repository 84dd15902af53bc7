"""Matching of centres, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.nuclei.matching import match_centres
from framework.errors import InputError


def _points(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def test_the_nearest_pair_goes_first() -> None:
    # found 0 is 2 px from truth 0 and 1 px from truth 1, and takes 1; found 1 is left with truth 0 at 6 px
    found, truth = _points((0, 0), (0, 4)), _points((0, -2), (0, 1))
    matching = match_centres(found, truth, 8)
    assert matching.pairs.tolist() == [[0, 1], [1, 0]]
    assert matching.distance_px.tolist() == [1, 6]
    assert match_centres(found, truth, 5).pairs.tolist() == [[0, 1]]


def test_scores() -> None:
    matching = match_centres(_points((0, 0), (50, 50), (90, 90)), _points((0, 8), (50, 58.001), (20, 20), (91, 90)), 8)
    assert matching.pairs.tolist() == [[2, 3], [0, 0]]
    assert matching.recall == 0.5
    assert matching.precision == pytest.approx(2 / 3)
    assert matching.f1 == pytest.approx(4 / 7)


@pytest.mark.parametrize(("found", "truth", "scores"), [(0, 0, (1, 1, 1)), (0, 2, (0, 1, 0)), (2, 0, (1, 0, 0))])
def test_nothing_on_one_side(found: int, truth: int, scores: tuple[float, float, float]) -> None:
    matching = match_centres(np.zeros((found, 2)), np.zeros((truth, 2)), 8)
    assert (matching.recall, matching.precision, matching.f1) == scores
    assert matching.pairs.shape == (0, 2)


def test_a_centre_is_used_once() -> None:
    assert len(match_centres(_points((0, 0), (0, 1), (1, 0)), _points((0, 0)), 8).pairs) == 1


def test_it_is_the_greedy_choice_over_all_pairs() -> None:
    generator = np.random.default_rng(0)
    found, truth = generator.random((60, 2)) * 60, generator.random((50, 2)) * 60
    distance = np.linalg.norm(found[:, None] - truth[None], axis=2)
    expected = []
    while distance.min() <= 8:
        f, t = np.unravel_index(distance.argmin(), distance.shape)
        expected.append([f, t])
        distance[f], distance[:, t] = np.inf, np.inf
    assert match_centres(found, truth, 8).pairs.tolist() == expected


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"truth centres: expected an array \(n, 2\) of y and x, found shape \(3,\)"):
        match_centres(np.zeros((3, 2)), np.zeros(3), 8)
