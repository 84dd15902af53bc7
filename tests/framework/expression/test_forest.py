"""The forest against scikit-learn's trees, and the properties a leaf, a seed and a scheduler must keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster
from fixtures.dask_scheduler import scheduler
from sklearn.tree import DecisionTreeRegressor

from data_tools.pipeline import PipelineError, open_runner
from framework.expression import ForestConfig, MedianForest, fit_forest, median_tree


def single_tree(markers: np.ndarray, expression: np.ndarray, **options: object) -> MedianForest:
    config = ForestConfig.from_plain({"trees": 1, "bootstrap": False, "max_features": "all", **options})
    return fit_forest(markers, expression, config, seed=0, jobs=1)


def absolute_error(predicted: np.ndarray, measured: np.ndarray) -> float:
    return float(np.abs(predicted - measured).sum())


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("genes", [1, 7])
def test_a_tree_equals_scikit_learns(depth: int, genes: int) -> None:
    random = np.random.default_rng(depth * 10 + genes)
    markers = random.random((150, 3)).astype(np.float32)
    # Continuous noise: no two splits tie, so both must find the same ones.
    expression = (markers @ random.random((3, genes)) + 0.3 * random.standard_normal((150, genes))).astype(np.float32)
    reference = DecisionTreeRegressor(criterion="absolute_error", max_depth=depth, random_state=0)
    expected = reference.fit(markers, expression).predict(markers).reshape(150, genes)
    found = single_tree(markers, expression, max_depth=depth).predict(markers)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_counts_with_ties_lose_nothing_against_scikit_learn() -> None:
    random = np.random.default_rng(3)
    markers = random.random((200, 1)).astype(np.float32)
    expression = np.log1p(random.poisson(3 * markers + 0.3, (200, 12))).astype(np.float32)
    reference = DecisionTreeRegressor(criterion="absolute_error", max_depth=1).fit(markers, expression)
    mine = absolute_error(single_tree(markers, expression, max_depth=1).predict(markers), expression)
    assert mine == pytest.approx(absolute_error(reference.predict(markers), expression), rel=1e-6)


def test_one_split_worked_out_by_hand() -> None:
    # Splitting after the second cell leaves |0-0| + |1-0| left and 0 right; every other split is worse.
    markers = np.array([[1.0], [2.0], [3.0], [4.0]])
    expression = np.array([[0.0], [1.0], [5.0], [5.0]])
    forest = single_tree(markers, expression, max_depth=1)
    assert forest.trees[0].threshold[0] == 2.5
    assert forest.predict([[0.0], [2.5], [2.6], [9.0]]).ravel().tolist() == [0.5, 0.5, 5.0, 5.0]


def test_a_full_tree_returns_its_training_cells() -> None:
    random = np.random.default_rng(0)
    markers = random.random((80, 2))
    expression = random.poisson(1.0, (80, 5)).astype(np.float32)
    np.testing.assert_array_equal(single_tree(markers, expression).predict(markers), expression)


def test_cells_no_marker_tells_apart_get_their_median() -> None:
    markers = np.array([[1.0], [1.0], [1.0], [2.0]])
    expression = np.array([[0.0, 9.0], [1.0, 3.0], [5.0, 6.0], [7.0, 7.0]])
    forest = single_tree(markers, expression)
    assert forest.predict([[1.0], [2.0]]).tolist() == [[1.0, 6.0], [7.0, 7.0]]


def test_the_mean_over_trees_is_the_prediction() -> None:
    random = np.random.default_rng(1)
    markers, expression = random.random((60, 2)), random.poisson(2.0, (60, 4))
    forest = fit_forest(markers, expression, ForestConfig(trees=5), seed=4, jobs=2)
    asked = random.random((9, 2))
    np.testing.assert_allclose(forest.predict(asked), np.mean(list(forest.by_tree(asked)), axis=0), atol=1e-6)


def test_the_seed_alone_decides_whatever_the_threads() -> None:
    random = np.random.default_rng(1)
    markers, expression = random.random((50, 3)), random.poisson(2.0, (50, 4))
    one, same = (fit_forest(markers, expression, ForestConfig(trees=4), seed=7, jobs=jobs) for jobs in (1, 2))
    other = fit_forest(markers, expression, ForestConfig(trees=4), seed=8, jobs=1)
    asked = random.random((20, 3))
    np.testing.assert_array_equal(one.predict(asked), same.predict(asked))
    assert not np.array_equal(one.predict(asked), other.predict(asked))


def test_fewest_cells_of_a_leaf_hold() -> None:
    random = np.random.default_rng(2)
    markers = random.random((64, 1))
    forest = single_tree(markers, random.random((64, 2)), min_leaf=8)
    tree = forest.trees[0]
    reached = median_tree.leaves(tree.feature, tree.threshold, tree.child, markers)
    assert np.bincount(reached)[np.unique(reached)].min() >= 8


def test_choosing_splits_by_few_genes_is_close_and_allowed() -> None:
    random = np.random.default_rng(5)
    markers = random.random((300, 1))
    expression = (markers > 0.5) * np.ones(40) + 0.1 * random.standard_normal((300, 40))
    forest = single_tree(markers, expression, genes_per_split=4, max_depth=1)
    assert abs(forest.trees[0].threshold[0] - 0.5) < 0.05


def test_trees_grow_on_a_dask_scheduler(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    markers, expression = random.random((50, 2)), random.poisson(2.0, (50, 4))
    here = fit_forest(markers, expression, ForestConfig(trees=3), seed=7, jobs=1)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        open_runner(cluster.scheduler_address, None, 0, tmp_path) as pool,
    ):
        there = fit_forest(markers, expression, ForestConfig(trees=3), seed=7, pool=pool)
    np.testing.assert_array_equal(here.predict(markers), there.predict(markers))


def test_a_scheduler_that_ends_while_trees_grow_is_a_sentence(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    markers, expression = random.random((50, 2)), random.poisson(2.0, (50, 4))
    with (
        scheduler(1) as (address, process),
        open_runner(address, None, 0, tmp_path, "run it again") as pool,
        pytest.raises(PipelineError, match=r"the Dask scheduler has ended, .*; start it again, then run it again$"),
    ):
        fit_forest(
            markers, expression, ForestConfig(trees=200), seed=7, pool=pool, progress=lambda done, total: process.kill()
        )


@pytest.mark.parametrize(("setting", "markers", "tried"), [("sqrt", 13, 3), ("sqrt", 2, 1), ("all", 5, 5), (9, 4, 4)])
def test_markers_tried_at_a_node(setting: str | int, markers: int, tried: int) -> None:
    assert ForestConfig.from_plain({"max_features": setting}).features_tried(markers) == tried


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        fit_forest([[0.0], [np.nan]], [[1.0], [2.0]], ForestConfig(), seed=0)
