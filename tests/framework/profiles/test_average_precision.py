"""Mean average precision against copairs, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.profiles.average_precision import (
    average_precision,
    cosine,
    mean_average_precision,
    random_precision,
)


def test_by_hand() -> None:
    similarity = np.array([[0.9, 0.8, 0.7, 0.6]])
    positive = np.array([[True, False, True, False]])
    found = average_precision(similarity, positive, ~positive)
    # Ranks 1 and 3: (1/1 + 2/3) / 2.
    assert found.values[0] == pytest.approx(5 / 6)
    assert (found.positives[0], found.total[0]) == (2, 4)


def test_equal_similarities_give_no_credit() -> None:
    positive = np.array([[True, False]])
    assert average_precision(np.zeros((1, 2)), positive, ~positive).values[0] == pytest.approx(0.5)


def test_nothing_to_rank_is_unknown() -> None:
    positive = np.array([[False, False], [True, True]])
    assert np.isnan(average_precision(np.zeros((2, 2)), positive, ~positive).values).all()


def test_it_is_that_of_copairs(tmp_path: Path) -> None:
    copairs = pytest.importorskip("copairs.map")
    random = np.random.default_rng(0)
    treatment = np.array([f"t{each // 3}" for each in range(24)], dtype=object)
    values = random.normal(size=(24, 5)) + 1.5 * random.normal(size=(8, 5)).repeat(3, axis=0)
    same = treatment[:, None] == treatment[None, :]
    other = ~same
    np.fill_diagonal(same, False)
    ours = average_precision(cosine(values), same, other)
    meta = pd.DataFrame({"Metadata_Treatment": treatment})
    theirs = copairs.average_precision(
        meta, values, ["Metadata_Treatment"], [], [], ["Metadata_Treatment"], progress_bar=False
    )
    np.testing.assert_allclose(ours.values, theirs["average_precision"], atol=1e-6)
    scored = mean_average_precision(ours, treatment, 20_000, 0)
    expected = copairs.mean_average_precision(
        theirs, ["Metadata_Treatment"], null_size=20_000, threshold=0.05, seed=0, progress_bar=False, cache_dir=tmp_path
    ).set_index("Metadata_Treatment")
    for name, (mean, p, queries) in scored.items():
        assert queries == 3
        assert mean == pytest.approx(expected.loc[name, "mean_average_precision"], abs=1e-6)
        assert p == pytest.approx(expected.loc[name, "p_value"], abs=0.015)


def test_random_orders_have_their_expected_precision() -> None:
    # One positive among n: mean of 1/rank over ranks 1..4 = (1 + 1/2 + 1/3 + 1/4) / 4.
    drawn = random_precision(1, 4, 40_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(25 / 48, abs=0.005)


def test_p_of_the_best_order_is_its_share_of_all_orders() -> None:
    # Two of five first: 1 of 10 orders.
    positive = np.array([[True, True, False, False, False]])
    found = average_precision(np.array([[5.0, 4.0, 3.0, 2.0, 1.0]]), positive, ~positive)
    mean, p, _ = mean_average_precision(found, np.array(["a"], dtype=object), 20_000, 0)["a"]
    assert mean == 1.0
    assert p == pytest.approx(0.1, abs=0.01)


def test_replicates_without_a_signal_are_rarely_significant() -> None:
    values = np.random.default_rng(3).normal(size=(180, 8))
    treatment = np.array([f"t{each // 3}" for each in range(180)], dtype=object)
    same = treatment[:, None] == treatment[None, :]
    other = ~same
    np.fill_diagonal(same, False)
    scored = mean_average_precision(average_precision(cosine(values), same, other), treatment, 2_000, 0)
    assert np.mean([p < 0.05 for _, p, _ in scored.values()]) <= 0.05
