from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from framework.data.format.schema import PERTURBATION
from framework.errors import InputError
from framework.evaluate import intervals


def test_quantiles_over_splits_by_hand() -> None:
    table = pd.DataFrame(
        {"target": "t", "gene": ["B"] * 5 + ["A"] * 2, "seed": [*"01234", *"01"], "r2": [0.0, 1, 2, 3, 4, 5, np.nan]}
    )
    over = intervals.over_splits(table, ["target", "gene"], ["r2"])
    assert over["gene"].tolist() == ["B", "A"]
    # 2.5 % of 0..4 lies at 0.025 * 4.
    np.testing.assert_allclose(over[["r2", "r2_low", "r2_high"]], [[2, 0.1, 3.9], [5, 5, 5]])


def test_the_interval_of_a_difference_lies_about_its_value() -> None:
    # About their middle the resamples are -0.1, 0 and 0.1; quantiles at 2.5 and 97.5 % are 5 % of a gap from the ends.
    np.testing.assert_allclose(intervals.difference_interval(0.5, [0.7, np.nan, 0.8, 0.9]), (0.405, 0.595))
    np.testing.assert_allclose(intervals.difference_interval(-0.2, [0.0, 0.0, 0.0]), (-0.2, -0.2))
    assert np.isnan(intervals.difference_interval(0.1, [np.nan, np.nan])).all()


def test_no_code_takes_percentiles_of_a_difference_as_they_are() -> None:
    root = Path(__file__).resolve().parents[3]
    files = [file for folder in ("framework", "experiments", "benchmarks") for file in (root / folder).rglob("*.py")]
    calls = [
        (f"{file.relative_to(root)}:{call.lineno}", call)
        for file in files
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "quantile_interval"
    ]
    assert len(calls) > 5
    bare = [where for where, call in calls for part in ast.walk(call) if isinstance(part, ast.Sub)]
    assert not bare, f"difference_interval belongs there: {bare}"


def test_repeated_keys_are_refused() -> None:
    table = pd.DataFrame({"seed": ["0", "0", "1"], "gene": ["A", "A", "A"]})
    with pytest.raises(InputError, match="1 repeated, first seed=0, gene=A"):
        intervals.check_one_row_per_key(table, ["seed", "gene"], "scores")
    intervals.check_one_row_per_key(table.iloc[1:], ["seed", "gene"], "scores")


def test_a_perturbation_in_two_parts_is_a_leak() -> None:
    values = pd.Series(["A", "A", "B"], name=PERTURBATION)
    fine = intervals.split_table("0", values, pd.Series(["test", "test", "train"]), "p.h5ad")
    assert fine.values.tolist() == [["0", "A", "test"], ["0", "B", "train"]]
    with pytest.raises(InputError, match="'A' stands in the parts test and train of split 0"):
        intervals.split_table("0", values, pd.Series(["test", "train", "train"]), "p.h5ad")


def test_bootstrap_agrees_with_theory_and_is_seeded() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000)
    y = 1e6 + x + rng.normal(size=2000)
    first = intervals.bootstrap_pearson(x, y, seed=3, resamples=4000)
    assert first == intervals.bootstrap_pearson(x, y, seed=3, resamples=4000)
    assert first != intervals.bootstrap_pearson(x, y, seed=4, resamples=4000)
    theirs = stats.pearsonr(x, y).confidence_interval(0.95)
    np.testing.assert_allclose(first[:2], theirs, atol=0.006)
    r = stats.pearsonr(x, y).statistic
    assert first[2] == pytest.approx((1 - r**2) / np.sqrt(2000), rel=0.1)


def test_bootstrap_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 50))
    whole = intervals.bootstrap_pearson(x, y, resamples=300)
    monkeypatch.setattr(intervals, "_RESAMPLED_VALUES", 50 * 7)
    np.testing.assert_allclose(intervals.bootstrap_pearson(x, y, resamples=300), whole)


def test_bootstrap_without_a_correlation() -> None:
    assert np.isnan(intervals.bootstrap_pearson([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])).all()
    assert np.isnan(intervals.bootstrap_pearson([1.0, np.nan], [1.0, 2.0])).all()


def test_fisher_equals_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    result = stats.pearsonr(x, y)
    assert intervals.fisher_interval(result.statistic, 30) == pytest.approx(tuple(result.confidence_interval(0.95)))
    assert np.isnan(intervals.fisher_interval(0.5, 3)).all()
    assert intervals.fisher_interval(1.0, 10) == (1.0, 1.0)
