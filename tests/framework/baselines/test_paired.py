"""Paired differences by hand, and on rows where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from framework.baselines.paired import Scored, column_scores, difference, draws, score
from framework.evaluate.metrics import pearson

RANDOM = np.random.default_rng(0)


def scored(predicted: np.ndarray, measured: np.ndarray, units: list[str] | None = None) -> Scored:
    names = [str(row) for row in range(len(measured))] if units is None else units
    return Scored(predicted=predicted, measured=measured, units=np.array(names, dtype=object))


def test_columns_are_scored_by_pearson_and_a_constant_by_zero() -> None:
    measured = RANDOM.normal(size=(30, 4))
    measured[3, 1] = np.nan
    measured[:, 3] = np.nan
    predicted = measured * [1, -1, 0, 1] + RANDOM.normal(size=(30, 4)) * [0.5, 0.5, 0, 0.5]
    predicted[:, 2] = 7.3
    found = column_scores(scored(predicted, measured))
    np.testing.assert_allclose(found[:2], pearson(predicted, measured)[:2])
    assert found[2] == 0
    assert np.isnan(found[3])
    assert score([scored(predicted, measured)]) == pytest.approx(np.median([*found[:2], 0.0]))


def test_rounding_of_a_constant_is_no_prediction() -> None:
    measured = RANDOM.normal(size=(30, 1))
    nearly = np.full((30, 1), 1234.5) + measured * 1e-12
    assert column_scores(scored(nearly, measured)).tolist() == [0]


def test_a_draw_is_the_score_of_the_resampled_rows() -> None:
    measured = RANDOM.normal(size=(12, 3))
    predicted = measured + RANDOM.normal(size=(12, 3))
    units = [f"u{row % 4}" for row in range(12)]
    found = draws([scored(predicted, measured, units)], 3, seed=5)
    counts = np.random.default_rng(5).multinomial(4, np.full(4, 0.25), size=3)
    for number, count in enumerate(counts):
        rows = np.concatenate([np.repeat([row], count[row % 4]) for row in range(12)]).astype(int)
        r = pearson(predicted[rows], measured[rows])
        assert found[number] == pytest.approx(np.nan_to_num(np.nanmedian(r)))


def test_units_are_drawn_once_for_all_splits() -> None:
    measured = RANDOM.normal(size=(8, 1))
    one = scored(measured + RANDOM.normal(size=(8, 1)), measured, [f"u{row}" for row in range(8)])
    np.testing.assert_allclose(draws([one, one], 50, seed=1), draws([one], 50, seed=1))


def test_verdicts() -> None:
    measured = RANDOM.normal(size=(200, 5))
    good = scored(measured + RANDOM.normal(size=(200, 5)), measured)
    other = scored(measured + RANDOM.normal(size=(200, 5)), measured)
    bad = scored(RANDOM.normal(size=(200, 5)), measured)
    of = {name: draws([item], 400) for name, item in {"good": good, "other": other, "bad": bad}.items()}
    above = difference(score([good]), score([bad]), of["good"], of["bad"])
    assert (above.verdict, above.p) == ("above", 1 / 400)
    assert above.low < above.value < above.high
    assert difference(score([bad]), score([good]), of["bad"], of["good"]).verdict == "below"
    tie = difference(score([good]), score([other]), of["good"], of["other"])
    assert (tie.verdict, tie.p > 0.05) == ("level with", True)
    same = difference(score([good]), score([good]), of["good"], of["good"])
    assert (same.verdict, same.p, same.value) == ("level with", 1.0, 0.0)


def test_an_interval_lies_about_its_value_where_all_resamples_score_higher() -> None:
    found = difference(0.5, 0.0, np.array([0.7, 0.8, 0.9]), np.zeros(3))
    # About their middle the resamples are -0.1, 0 and 0.1; quantiles at 2.5 and 97.5 % are 5 % of a gap from the ends.
    assert (round(found.low, 12), found.value, round(found.high, 12)) == (0.405, 0.5, 0.595)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # Two equally good predictors of conditions with four replicates each: 0 lies in about 95 of 100 intervals.
    held = 0
    for trial in range(100):
        random = np.random.default_rng(trial)
        truth = np.repeat(random.normal(size=(40, 1)), 4, axis=0)
        noise = [np.repeat(random.normal(size=(40, 1)), 4, axis=0) for _ in range(2)]
        units = [f"c{row // 4}" for row in range(160)]
        both = [scored(truth + each, truth, units) for each in noise]
        of_both = [draws([item], 100, seed=trial) for item in both]
        held += difference(score([both[0]]), score([both[1]]), *of_both).verdict == "level with"
    assert 88 <= held <= 99
