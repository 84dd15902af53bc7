from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from framework.evaluate import significance


def errors(kind: str, wells: int, genes: int = 25) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(wells)
    model, baseline = rng.random((wells, genes)), rng.random((wells, genes))
    if kind == "ties":
        model, baseline = np.round(model * 5), np.round(baseline * 5)
    if kind == "holes":
        model[rng.random(model.shape) < 0.2] = np.nan
    return model, baseline


def by_scipy(test, model: np.ndarray, baseline: np.ndarray) -> list[float]:
    p = []
    for gene in range(model.shape[1]):
        known = ~np.isnan(model[:, gene])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            p.append(
                test(model[known, gene], baseline[known, gene], alternative="less").pvalue if known.any() else np.nan
            )
    return p


@pytest.mark.parametrize("kind", ["smooth", "ties", "holes"])
@pytest.mark.parametrize("wells", [2, 5, 8, 9, 13, 14, 30, 50, 51, 80])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(significance.wilcoxon_less, stats.wilcoxon), (significance.mann_whitney_less, stats.mannwhitneyu)],
)
def test_equal_to_scipy(ours, theirs, wells: int, kind: str) -> None:
    # scipy walks through all 2**wells sign patterns of a gene with ties.
    model, baseline = errors(kind, wells, genes=1 if kind == "ties" and wells == 13 else 20)
    p, expected = ours(model, baseline), np.asarray(by_scipy(theirs, model, baseline))
    # Where no pair differs scipy has no answer; ours is 1, see the next test.
    answered = ~np.isnan(expected)
    np.testing.assert_allclose(p[answered], expected[answered], rtol=1e-10, atol=1e-14)
    assert (np.isnan(p[~answered]) | (p[~answered] == 1)).all()


@pytest.mark.parametrize("wells", [3, 20, 60])
def test_a_model_that_equals_the_baseline_is_not_better(wells: int) -> None:
    same = np.tile(np.arange(1.0, wells + 1)[:, None], (1, 2))
    assert significance.wilcoxon_less(same, same).tolist() == [1.0, 1.0]
    assert significance.mann_whitney_less(same, same)[0] > 0.4
    flat = np.ones((wells, 1))
    assert significance.mann_whitney_less(flat, flat)[0] >= 0.5


def test_by_hand() -> None:
    # Three wells, always better: one sign pattern of eight. Two samples of three without overlap: one of C(6, 3) = 20.
    assert significance.wilcoxon_less([[1.0], [2.0], [3.0]], [[5.0], [7.0], [9.0]])[0] == pytest.approx(1 / 8)
    assert significance.mann_whitney_less([[1.0], [2.0], [3.0]], [[5.0], [7.0], [9.0]])[0] == pytest.approx(1 / 20)


@pytest.mark.parametrize("wells", [3, 4, 20, 200])
def test_regression_equals_scipy(wells: int) -> None:
    rng = np.random.default_rng(wells)
    measured = rng.normal(50, 3, (wells, 6))
    predicted = measured * rng.normal(size=6) * 0.3 + rng.normal(0, 3, measured.shape)
    predicted[0, 0] = np.nan if wells > 3 else predicted[0, 0]
    known = ~np.isnan(predicted)
    expected = [stats.linregress(measured[known[:, g], g], predicted[known[:, g], g]).pvalue for g in range(6)]
    np.testing.assert_allclose(significance.regression_p(predicted, measured), expected, rtol=1e-8, atol=1e-300)


def test_regression_by_hand_and_without_an_answer() -> None:
    # Three points, r = 0.5: t = 0.5 * sqrt(1 / 0.75) = 1 / sqrt(3), one degree of freedom: p = 1 - 2/pi atan(t)
    p = significance.regression_p([[0.0], [2.0], [1.0]], [[0.0], [1.0], [2.0]])
    assert p[0] == pytest.approx(2 / 3)
    assert significance.regression_p([[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]])[0] == pytest.approx(0.0, abs=1e-7)
    for predicted in ([[1.0], [2.0]], [[5.0], [5.0]]):
        assert np.isnan(significance.regression_p(predicted, [[1.0], [2.0]])[0])
    assert np.isnan(significance.regression_p(np.ones((4, 1)), np.arange(4.0)[:, None])[0])
    assert np.isnan(significance.regression_p(np.empty((0, 2)), np.empty((0, 2)))).all()


def test_genes_without_wells_have_no_p() -> None:
    unknown = np.full((4, 1), np.nan)
    assert np.isnan(significance.wilcoxon_less(unknown, unknown)[0])
    assert np.isnan(significance.mann_whitney_less(unknown, unknown)[0])
    assert np.isnan(significance.wilcoxon_less(np.empty((0, 2)), np.empty((0, 2)))).all()
    assert np.isnan(significance.mann_whitney_less(np.empty((0, 2)), np.empty((0, 2)))).all()


def test_uniform_under_the_null() -> None:
    model, baseline = errors("smooth", 77, genes=4000)
    for test in (significance.wilcoxon_less, significance.mann_whitney_less):
        assert abs((test(model, baseline) < 0.05).mean() - 0.05) < 0.015


def test_benjamini_hochberg_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.04, 0.9 times 4/rank: 0.04, 0.04, 0.0533, 0.9.
    q = significance.benjamini_hochberg([0.02, np.nan, 0.9, 0.01, 0.04])
    np.testing.assert_allclose(q, [0.04, np.nan, 0.9, 0.04, 0.16 / 3])
    assert np.isnan(significance.benjamini_hochberg([np.nan])).all()


def test_shares_keep_their_denominators() -> None:
    shares = significance.count_shares([0.01, 0.05, 0.2, np.nan], alpha=0.05, filtered=4)
    assert (shares.significant, shares.not_significant, shares.filtered) == (1, 2, 5)
    assert shares.total == 8
    assert shares.share == 1 / 8
    assert np.isnan(significance.count_shares([]).share)
