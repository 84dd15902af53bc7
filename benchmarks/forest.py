"""Theme ``forest``: growing one tree under the absolute error of many genes, against scikit-learn's.

Both grow a full tree on the same cells and the same marker; the check is that the first split leaves the same absolute
error (deeper ones may tie). Counts are drawn like those of a CITE-seq experiment: most are zero. What grows with the
number of genes is time for both, and memory for scikit-learn alone, whose leaves store every gene.
"""

from __future__ import annotations

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from benchmarks.harness import Arm, Finding, Measured, Target, WrongPixels, measure
from framework.expression import ForestConfig, MedianForest, fit_forest


def run(*, quick: bool) -> list[Measured]:
    """Measure 30 and 100 genes on 500 cells when quick, else 30, 100 and 300 on 1,000 cells.

    Raises:
        WrongPixels: the two trees leave different errors.
    """
    cells = 500 if quick else 1000
    return [growing(cells, genes, repetitions=3) for genes in ((30, 100) if quick else (30, 100, 300))]


def counts(cells: int, genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a marker in [0, 1] (cells, 1) and log counts (cells, genes), 60 to 95 % of them zero."""
    random = np.random.default_rng(0)
    marker = random.random((cells, 1)).astype(np.float32)
    level = np.exp(random.normal(-2, 1.2, (1, genes)) + 2 * marker * random.normal(0, 0.5, (1, genes)))
    return marker, np.log1p(random.poisson(level)).astype(np.float32)


def growing(cells: int, genes: int, repetitions: int) -> Measured:
    """Measure one number of genes."""
    marker, expression = counts(cells, genes)
    _check(marker, expression)
    trees: dict[str, DecisionTreeRegressor | MedianForest] = {}

    def ours() -> None:
        trees["ours"] = _ours(marker, expression, None)

    def scikit_learn() -> None:
        trees["sklearn"] = _sklearn(None).fit(marker, expression)

    arms = [Arm(name="wellstream", work=ours), Arm(name="scikit-learn", work=scikit_learn)]
    costs = measure(arms, repetitions=repetitions)
    # Rows of the training table serve as leaves, and there is one table for all trees.
    tree = trees["ours"].trees[0]
    kept = sum(part.nbytes for part in vars(tree).values()) / 1e6
    stored = trees["sklearn"].tree_.value.nbytes / 1e6
    return Measured(
        theme="forest",
        case=f"one tree, {cells} cells, {genes} genes, {(tree.feature < 0).sum()} leaves",
        unit="trees",
        items=1,
        costs=costs,
        limit="scikit-learn",
        targets=(Target(arm="wellstream", over="scikit-learn", least=4.0),),
        findings=(
            Finding(name="memory of a tree, ours", value=kept, unit="MB"),
            Finding(name="memory of a tree, scikit-learn", value=stored, unit="MB"),
        ),
    )


def _check(marker: np.ndarray, expression: np.ndarray) -> None:
    left = [
        float(np.abs(found - expression).sum(dtype=np.float64))
        for found in (
            _ours(marker, expression, 1).predict(marker),
            _sklearn(1).fit(marker, expression).predict(marker).reshape(expression.shape),
        )
    ]
    # Deeper, splits of equal error may be chosen differently; the least error of the first is one number.
    if abs(left[0] / left[1] - 1) > 1e-6:
        raise WrongPixels(f"the trees leave absolute errors of {left[0]:.6g} and {left[1]:.6g}")


def _ours(marker: np.ndarray, expression: np.ndarray, depth: int | None) -> MedianForest:
    config = ForestConfig(trees=1, bootstrap=False, max_features="all", max_depth=depth)
    return fit_forest(marker, expression, config, seed=0, jobs=1)


def _sklearn(depth: int | None) -> DecisionTreeRegressor:
    return DecisionTreeRegressor(criterion="absolute_error", max_depth=depth, random_state=0)
