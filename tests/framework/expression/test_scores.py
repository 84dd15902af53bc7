"""Scores of genes and populations by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from framework.evaluate.intervals import bootstrap_columns, bootstrap_pearson
from framework.expression import ForestConfig, fit_forest
from framework.expression.populations import agreement, population_means, similarities
from framework.expression.scores import score_genes, spread_over_trees, summarise

MEASURED = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, 2.0]])


def scored() -> pd.DataFrame:
    predicted = {
        "forest": MEASURED[:, ::-1] * 0 + MEASURED + 1,
        "linear": -MEASURED,
        "mean": np.full(MEASURED.shape, 2.0),
    }
    return score_genes(
        predicted, MEASURED, ["A", "B"], ["T|B", ""], chosen=np.array([True, False]), seed=0, resamples=200
    )


def test_each_method_is_scored_gene_by_gene() -> None:
    table = scored().set_index("gene")
    assert table.loc["A", ["r_forest", "r_linear", "rmse_forest"]].tolist() == pytest.approx([1.0, -1.0, 1.0])
    assert np.isnan(table.loc["A", "r_mean"])
    assert table.loc["A", "rmse_mean"] == pytest.approx(np.sqrt((4 + 1 + 0 + 1 + 4) / 5))
    assert table.loc["B", "expressed"] == pytest.approx(0.6)
    assert table.loc["A", "r_low"] == pytest.approx(1.0)
    assert np.isnan(table.loc["B", "r_low"])


def test_medians_are_taken_over_genes_of_each_set() -> None:
    summary = summarise(scored().assign(spread=[0.1, 0.3])).set_index(["genes", "method"])
    assert summary.loc[("marker genes", "forest"), "n"] == 1
    assert summary.loc[("T", "forest"), "r"] == summary.loc[("B", "forest"), "r"] == pytest.approx(1.0)
    assert summary.loc[("all", "forest"), "spread"] == pytest.approx(0.2)
    # The authors' count loops over cells; two genes cannot be more than two.
    assert summary.loc[("all", "forest"), "above_0.9"] == 2
    assert summary.loc[("all", "linear"), "above_0.3"] == 0


def test_the_bootstrap_of_many_genes_is_that_of_each() -> None:
    random = np.random.default_rng(0)
    truth = random.standard_normal((50, 3))
    guess = truth + random.standard_normal((50, 3))
    low, high, spread = bootstrap_columns(guess, truth, seed=3, resamples=500)
    for gene in range(3):
        alone = bootstrap_pearson(guess[:, gene], truth[:, gene], seed=3, resamples=500)
        assert alone == pytest.approx((low[gene], high[gene], spread[gene]))


def test_spread_is_the_deviation_of_single_trees() -> None:
    random = np.random.default_rng(0)
    markers = random.random((60, 2))
    expression = np.column_stack([markers[:, 0] + 0.2 * random.random(60), np.zeros(60)])
    forest = fit_forest(markers[:40], expression[:40], ForestConfig(trees=6), seed=0, jobs=1)
    alone = [np.corrcoef(tree[:, 0], expression[40:, 0])[0, 1] for tree in forest.by_tree(markers[40:])]
    found = spread_over_trees(forest, markers[40:], expression[40:])
    assert found[0] == pytest.approx(np.std(alone), rel=1e-5)
    assert np.isnan(found[1])


def test_population_means_and_their_likeness() -> None:
    population = pd.Categorical(["a", "b", "a", "other"], categories=["a", "b", "none", "other"])
    means = population_means(
        [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [3.0, 4.0, 5.0], [0.0, 1.0, 1.0]], population, list("xyz")
    )
    assert list(means.index) == ["a", "b", "other"]
    assert means.loc["a"].tolist() == [2.0, 3.0, 4.0]
    pairs = similarities(means).set_index(["one", "other"])
    assert pairs.loc[("a", "b"), "r"] == pytest.approx(-1.0)
    assert pairs.loc[("a", "other"), "r"] == pytest.approx(np.corrcoef([2, 3, 4], [0, 1, 1])[0, 1])


def test_agreement_counts_the_pattern_not_the_level() -> None:
    one = pd.DataFrame({"x": [5.0, 6.0], "y": [1.0, 0.0], "z": [2.0, 2.0]}, index=["a", "b"])
    # The same levels with the difference between a and b turned round.
    other = pd.DataFrame({"x": [6.0, 5.0], "y": [0.0, 1.0], "z": [2.0, 2.0]}, index=["a", "b"])
    found = agreement(one, other).set_index("population")
    assert found.loc["a", "r"] > 0.9
    assert found.loc["a", "r_centred"] == pytest.approx(-1.0)
