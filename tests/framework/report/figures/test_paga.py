"""Where a map begins: connectivity by hand, and clusters in a row stay in a row."""

from __future__ import annotations

import numpy as np
import pytest

from framework.report.figures.paga import connectivity, paga_start


def test_connectivity_is_edges_over_expected_ones() -> None:
    """Four points with one neighbour each: a0 -> a1, a1 -> a0, b0 -> a0, b1 -> b0; one edge between a and b."""
    label, nearest = np.array([0, 0, 1, 1]), np.array([[1], [0], [0], [2]])
    found = connectivity(label, nearest)
    # Ends in a: 2 + 2 + 1 = 5, in b: 2 + 1 = 3; expected between them (5 * 2 + 2 * 3) / 3.
    assert found[0, 1] == found[1, 0] == pytest.approx(1 / (16 / 3))
    assert found[0, 0] == 0


def test_clusters_in_a_row_begin_in_a_row() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=(40, 5)) + 4.0 * place * np.eye(5)[0] for place in range(4)])
    start = paga_start(values, 15, clusters=4)
    means = start.reshape(4, 40, 2).mean(axis=1)
    ends = np.linalg.norm(means[0] - means[3])
    assert all(np.linalg.norm(means[0] - means[place]) < ends for place in (1, 2))
    assert np.linalg.norm(means[1] - means[2]) < np.linalg.norm(means[0] - means[2])
    assert np.abs(start).max() == pytest.approx(10)
    assert len(np.unique(start, axis=0)) == 160
    assert np.array_equal(start, paga_start(values, 15, clusters=4))
