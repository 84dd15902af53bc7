"""Theme ``forest``: growing one tree under the absolute error of many genes, against scikit-learn's.

Both grow a full tree on the same cells and the same marker; the check is that the first split leaves the same absolute
error (deeper ones may tie). Counts are drawn like those of a CITE-seq experiment: most are zero. What grows with the
number of genes is time for both, and memory for scikit-learn alone, whose leaves store every gene.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from benchmarks.harness import Arm, Finding, Measured, Target, WrongPixels, measure
from framework.evaluate.intervals import bootstrap_columns
from framework.expression import ForestConfig, MedianForest, fit_forest

_PAPER_CELLS, _PAPER_HELD_OUT, _PAPER_GENES = 5612, 2405, 2768
"""Human cells of CITE-seq the paper trains on and holds out, and genes after its filters (Chlis 2020)."""
_OURS, _THEIRS = (200, 400, _PAPER_GENES), (20, 200, 400)


def run(*, quick: bool) -> list[Measured]:
    """Measure 30 and 100 genes on 500 cells when quick, else 30, 100 and 300 on 1,000 cells, and the paper's numbers.

    Raises:
        WrongPixels: the two trees leave different errors.
    """
    cells = 500 if quick else 1000
    each = [growing(cells, genes, repetitions=3) for genes in ((30, 100) if quick else (30, 100, 300))]
    return each if quick else [*each, many_genes()]


def counts(cells: int, genes: int, markers: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return markers in [0, 1] (cells, markers) and log counts (cells, genes), 60 to 95 % of them zero.

    Genes follow the first marker.
    """
    random = np.random.default_rng(0)
    marker = random.random((cells, markers)).astype(np.float32)
    level = np.exp(random.normal(-2, 1.2, (1, genes)) + 2 * marker[:, :1] * random.normal(0, 0.5, (1, genes)))
    return marker, np.log1p(random.poisson(level)).astype(np.float32)


def many_genes() -> Measured:
    """Measure how time grows with genes, on as many cells as the paper's human forest is grown on.

    scikit-learn's largest is a seventh of the 2,768 genes: a tree of all would take a quarter of an hour. And once the
    bootstrap of 100 genes over the 2,405 held-out cells.
    """
    marker, expression = counts(_PAPER_CELLS, _PAPER_GENES, markers=2)
    arms = [
        *(Arm(name=f"wellstream, {genes} genes", work=_grown(_ours, marker, expression, genes)) for genes in _OURS),
        *(
            Arm(name=f"scikit-learn, {genes} genes", work=_grown(_sklearn_fitted, marker, expression, genes))
            for genes in _THEIRS
        ),
    ]
    held_out = np.random.default_rng(1).random((2, _PAPER_HELD_OUT, 100))
    start = time.perf_counter()
    bootstrap_columns(*held_out, resamples=10_000)
    took = time.perf_counter() - start
    most = max(_THEIRS)
    return Measured(
        theme="forest",
        case=f"one tree by number of genes, {_PAPER_CELLS:,} cells, two markers",
        unit="trees",
        items=1,
        costs=measure(arms, repetitions=1),
        limit=f"scikit-learn, {most} genes",
        targets=(Target(arm=f"wellstream, {most} genes", over=f"scikit-learn, {most} genes", least=4.0),),
        findings=(
            Finding(
                name=f"10,000 bootstrap samples of 100 genes over {_PAPER_HELD_OUT:,} cells",
                value=took,
                unit="s",
                most=10,
            ),
        ),
    )


def _grown(
    grow: Callable[[np.ndarray, np.ndarray, None], object], marker: np.ndarray, expression: np.ndarray, genes: int
) -> Callable[[], object]:
    some = np.ascontiguousarray(expression[:, :genes])
    return lambda: grow(marker, some, None)


def growing(cells: int, genes: int, repetitions: int) -> Measured:
    """Measure one number of genes."""
    marker, expression = counts(cells, genes)
    _check(marker, expression)
    trees: dict[str, DecisionTreeRegressor | MedianForest] = {}

    def ours() -> None:
        trees["ours"] = _ours(marker, expression, None)

    def scikit_learn() -> None:
        trees["sklearn"] = _sklearn_fitted(marker, expression, None)

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
            _sklearn_fitted(marker, expression, 1).predict(marker).reshape(expression.shape),
        )
    ]
    # Deeper, splits of equal error may be chosen differently; the least error of the first is one number.
    if abs(left[0] / left[1] - 1) > 1e-6:
        raise WrongPixels(f"the trees leave absolute errors of {left[0]:.6g} and {left[1]:.6g}")


def _ours(marker: np.ndarray, expression: np.ndarray, depth: int | None) -> MedianForest:
    config = ForestConfig(trees=1, bootstrap=False, max_features="all", max_depth=depth)
    return fit_forest(marker, expression, config, seed=0, jobs=1)


def _sklearn_fitted(marker: np.ndarray, expression: np.ndarray, depth: int | None) -> DecisionTreeRegressor:
    return _sklearn(depth).fit(marker, expression)


def _sklearn(depth: int | None) -> DecisionTreeRegressor:
    return DecisionTreeRegressor(criterion="absolute_error", max_depth=depth, random_state=0)
