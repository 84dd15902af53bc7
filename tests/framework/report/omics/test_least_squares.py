"""The linear model of figure 5, against values by hand, scipy and dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress

from framework.errors import InputError
from framework.report.omics.least_squares import least_squares


def test_one_column_is_the_regression_of_scipy() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 40))
    y = 0.3 * x + noise
    fit, theirs = least_squares(x[:, None], ["x"], y), linregress(x, y)
    row = fit.terms.iloc[0]
    assert (row["beta"], row["se"], row["p"]) == pytest.approx((theirs.slope, theirs.stderr, theirs.pvalue), rel=1e-10)
    assert fit.r2 == pytest.approx(theirs.rvalue**2, rel=1e-10)
    assert fit.degrees == 38


def test_two_groups_by_hand() -> None:
    """Means 1 and 3 and residuals of 1, so s2 = 4 / 2 and se = sqrt(2 (1/2 + 1/2)); t = 2 / sqrt 2, 2 degrees."""
    fit = least_squares(np.array([[0.0], [0], [1], [1]]), ["in"], np.array([0.0, 2, 2, 4]))
    row = fit.terms.iloc[0]
    assert (row["beta"], row["se"], row["t"]) == pytest.approx((2, np.sqrt(2), np.sqrt(2)))
    assert row["p"] == pytest.approx(
        1 - 1 / np.sqrt(2)
    )  # Student's t with 2 degrees: P(|T| > t) = 1 - t / sqrt(2 + t^2)
    assert row["high"] - row["beta"] == pytest.approx(4.302652729911275 * np.sqrt(2))


def test_many_columns_are_those_of_a_dense_inverse() -> None:
    rng = np.random.default_rng(1)
    x = np.column_stack([(rng.random((300, 12)) < 0.1).astype(float), rng.random(300)])
    y = x @ rng.normal(size=13) + rng.normal(size=300)
    fit = least_squares(x, [str(place) for place in range(13)], y)
    whole = np.column_stack([np.ones(300), x])
    beta, left, *_ = np.linalg.lstsq(whole, y, rcond=None)
    error = np.sqrt(left[0] / (300 - 14) * np.diag(np.linalg.inv(whole.T @ whole)))
    assert fit.terms["beta"].to_numpy() == pytest.approx(beta[1:], rel=1e-9)
    assert fit.terms["se"].to_numpy() == pytest.approx(error[1:], rel=1e-9)


def test_what_others_explain_is_dropped_and_named() -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.random((2, 60)) < 0.4).astype(float)
    x = np.column_stack([a, b, a + b, np.ones(60)])
    fit = least_squares(x, ["a", "b", "a+b", "one"], a - b + rng.normal(size=60))
    assert len(fit.terms) == 2
    assert "one" in fit.dropped
    assert (len(fit.dropped), fit.degrees) == (2, 57)


def test_more_coefficients_than_genes_are_refused() -> None:
    with pytest.raises(InputError, match="a linear model of 4 coefficients needs more than 4 genes"):
        least_squares(np.eye(4)[:, :3], ["a", "b", "c"], np.arange(4.0))
