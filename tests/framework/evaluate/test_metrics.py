from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from framework.evaluate import metrics


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    measured = np.round(rng.normal(size=(40, 6)), 1)  # rounded: ranks have ties
    predicted = np.round(measured + rng.normal(size=(40, 6)), 1)
    measured[rng.random(measured.shape) < 0.2] = np.nan
    return predicted, measured


def test_smape_by_hand() -> None:
    predicted = [[1.0, 0.0, 2.0], [3.0, 0.0, -2.0]]
    measured = [[3.0, 0.0, 2.0], [1.0, 5.0, 2.0]]
    # 100/2 (2/4 + 2/4); 100/2 (0/0 -> 0, 5/5); 100/2 (0 + 4/4)
    np.testing.assert_allclose(metrics.column_mean(metrics.smape_terms(predicted, measured)), [50.0, 50.0, 50.0])
    np.testing.assert_allclose(metrics.smape_terms(predicted, measured), [[50, 0, 0], [50, 100, 100]])


def test_smape_leaves_out_what_was_not_measured() -> None:
    assert metrics.column_mean(metrics.smape_terms([[1.0], [9.0]], [[3.0], [np.nan]]))[0] == 50.0
    assert np.isnan(metrics.column_mean(metrics.smape_terms([[1.0]], [[np.nan]]))[0])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.pearson, lambda p, t: stats.pearsonr(p, t).statistic),
        (metrics.r2, lambda p, t: stats.linregress(p, t).rvalue ** 2),
        (metrics.spearman, lambda p, t: stats.spearmanr(p, t).statistic),
        (metrics.rmse, lambda p, t: np.sqrt(((p - t) ** 2).mean())),
        (metrics.mae, lambda p, t: np.abs(p - t).mean()),
    ],
)
def test_equal_to_scipy_gene_by_gene(ours, theirs, pair) -> None:
    predicted, measured = pair
    expected = []
    for gene in range(measured.shape[1]):
        known = ~np.isnan(measured[:, gene])
        expected.append(theirs(predicted[known, gene], measured[known, gene]))
    np.testing.assert_allclose(ours(predicted, measured), expected, rtol=1e-12)


@pytest.mark.parametrize("score", [metrics.pearson, metrics.r2, metrics.spearman])
def test_a_constant_column_has_no_correlation(score) -> None:
    varies, constant = np.arange(5.0)[:, None], np.full((5, 1), 0.1)
    assert np.isnan(score(constant, varies)[0])
    assert np.isnan(score(varies, constant)[0])
    assert np.isnan(score(varies[:1], varies[:1])[0])
    assert score(varies, varies)[0] == pytest.approx(1.0)


def test_r2_survives_a_large_offset() -> None:
    x = np.arange(10.0)[:, None]
    assert metrics.r2(x + 1e9, x)[0] == pytest.approx(1.0)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1\) and \(3, 1\)"):
        metrics.smape_terms(np.zeros((2, 1)), np.zeros((3, 1)))


def test_the_median_of_what_is_known_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metrics.median_of_known(pd.Series([np.nan, np.nan])))
        assert np.isnan(metrics.median_of_known(pd.Series([], dtype=float)))
        assert metrics.median_of_known(pd.Series([1.0, np.nan, 4.0])) == 2.5
