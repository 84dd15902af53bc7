"""A random forest from surface markers to the expression of every gene (IFC-seq, "Predicting gene expression").

Trees hold rows, not values: a leaf is one training cell, or the median of a few that no marker tells apart. So a
prediction is a sparse average of training cells, memory does not grow with trees times genes, and the spread over trees
costs no second model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import joblib
import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from framework.config import StrictModel
from framework.expression import median_tree
from framework.progress import OnCount

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_CELLS_AT_ONCE = 2048


class ForestConfig(StrictModel):
    """A random forest under the absolute error.

    Attributes:
        trees: how many; 50 in IFC-seq.
        max_features: markers tried at a node: ``sqrt`` of their number (IFC-seq), ``all``, or a count.
        min_leaf: smallest number of cells on each side of a split.
        max_depth: deepest node that is divided; null for no limit.
        bootstrap: whether a tree sees cells drawn with replacement, or all of them.
        genes_per_split: choose each split by this many genes, drawn at random at every node: an approximation that is
            faster in proportion. null: by all genes, exact.
    """

    trees: int = Field(default=50, ge=1)
    max_features: Literal["sqrt", "all"] | int = "sqrt"
    min_leaf: int = Field(default=1, ge=1)
    max_depth: int | None = Field(default=None, ge=1)
    bootstrap: bool = True
    genes_per_split: int | None = Field(default=None, ge=1)

    def features_tried(self, markers: int) -> int:
        """Return how many of ``markers`` a node tries, at least 1."""
        if self.max_features == "sqrt":
            return max(1, int(markers**0.5))
        return markers if self.max_features == "all" else max(1, min(self.max_features, markers))


@dataclass(frozen=True, kw_only=True)
class _Tree:
    """One tree: nodes, and for each leaf the row of ``MedianForest.cells`` it predicts."""

    feature: Ints
    threshold: Floats
    child: Ints
    cell: Ints

    def predicted(self, markers: Floats) -> Ints:
        found: Ints = self.cell[median_tree.leaves(self.feature, self.threshold, self.child, markers)]
        return found


@dataclass(frozen=True, kw_only=True)
class MedianForest:
    """A fitted forest.

    Attributes:
        trees: the trees.
        cells: float32 (cells, G): expression of the training cells, then medians of leaves that hold several.
        markers: number of markers it predicts from.
    """

    trees: tuple[_Tree, ...]
    cells: Single
    markers: int

    def predict(self, markers: npt.ArrayLike) -> Single:
        """Return the mean over trees, float32 (c, G), for marker values (c, d)."""
        values = self._checked(markers)
        result = np.empty((len(values), self.cells.shape[1]), dtype=np.float32)
        for start in range(0, len(values), _CELLS_AT_ONCE):
            part = values[start : start + _CELLS_AT_ONCE]
            result[start : start + len(part)] = self._weights(part) @ self.cells
        return result

    def by_tree(self, markers: npt.ArrayLike) -> Iterator[Single]:
        """Yield the prediction of each tree alone, float32 (c, G)."""
        values = self._checked(markers)
        for tree in self.trees:
            yield self.cells[tree.predicted(values)]

    def _weights(self, values: Floats) -> sparse.csr_array:
        columns = np.stack([tree.predicted(values) for tree in self.trees], axis=1)
        share = np.full(columns.size, 1.0 / len(self.trees), dtype=np.float32)
        starts = np.arange(len(values) + 1) * len(self.trees)
        return sparse.csr_array((share, columns.ravel(), starts), shape=(len(values), len(self.cells)))

    def _checked(self, markers: npt.ArrayLike) -> Floats:
        values = np.ascontiguousarray(markers, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != self.markers:
            raise ValueError(f"expected markers (cells, {self.markers}), found {values.shape}")
        return values


class Pool(Protocol):
    """Processes that grow trees elsewhere."""

    def each(self, function: Callable[..., Any], jobs: Sequence[Any], *shared: Any) -> Iterator[Any]:
        """Yield ``function(job, *shared)`` for each job, in order."""
        ...


def fit_forest(
    markers: npt.ArrayLike,
    expression: npt.ArrayLike,
    config: ForestConfig,
    seed: int,
    *,
    pool: Pool | None = None,
    jobs: int = -1,
    progress: OnCount | None = None,
) -> MedianForest:
    """Fit a forest; the same seed gives the same forest however many jobs grow it.

    Args:
        markers: (n, d) finite marker values.
        expression: (n, G) finite expression.
        config: the forest.
        seed: seed of bootstrap and of the markers tried.
        pool: where the trees grow, as the workers of a Dask scheduler; default: threads of this process.
        jobs: threads; -1 for one per core.
        progress: called with (trees grown, trees).

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.
        WellstreamError: what the pool raises when its workers have ended.
    """
    x = np.ascontiguousarray(markers, dtype=np.float64)
    y = np.ascontiguousarray(expression, dtype=np.float32)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise ValueError(f"expected markers (n, d) and expression (n, G), found {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("markers and expression must be finite")
    coded = _coded(y)
    grown = []
    for done, item in enumerate(_all_grown(pool, jobs, config.trees, (coded, x, config, seed)), 1):
        grown.append(item)
        if progress:
            progress(done, config.trees)
    return _assemble(grown, y, x.shape[1])


def _all_grown(pool: Pool | None, jobs: int, trees: int, shared: tuple[Any, ...]) -> Iterator[_Grown]:
    if pool is not None:
        return pool.each(_grow, range(trees), *shared)
    tasks = (joblib.delayed(_grow)(tree, *shared) for tree in range(trees))
    grown: Iterator[_Grown] = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(tasks)
    return grown


@dataclass(frozen=True, kw_only=True)
class _Coded:
    """Expression as positions among the distinct values of each gene, (n, G)."""

    codes: npt.NDArray[Any]
    values: Floats
    starts: Ints


def _coded(expression: Single) -> _Coded:
    codes = np.empty(expression.shape, dtype=np.uint16 if len(expression) < 1 << 16 else np.uint32)
    values, starts = [], [0]
    for gene, column in enumerate(expression.T):
        distinct, codes[:, gene] = np.unique(column, return_inverse=True)
        values.append(distinct.astype(np.float64))
        starts.append(starts[-1] + len(distinct))
    smallest = np.min_scalar_type(int(codes.max()))
    return _Coded(codes=codes.astype(smallest), values=np.concatenate(values), starts=np.array(starts, dtype=np.int64))


_Grown = tuple[Ints, Floats, Ints, list[Ints]]


def _grow(tree: int, coded: _Coded, markers: Floats, config: ForestConfig, seed: int) -> _Grown:
    """Grow one tree; return its nodes and the training cells of each leaf (an empty array elsewhere)."""
    generator = np.random.default_rng([seed, tree])
    n, genes = len(markers), coded.codes.shape[1]
    rows = generator.integers(0, n, n) if config.bootstrap else np.arange(n)
    feature, threshold, child, span = median_tree.grow(
        coded.codes,
        coded.values,
        coded.starts,
        markers,
        rows,
        config.features_tried(markers.shape[1]),
        min(config.genes_per_split or genes, genes),
        config.min_leaf,
        config.max_depth or np.iinfo(np.int64).max,
        np.uint64(generator.integers(1, 1 << 63)),
    )
    none = np.empty(0, dtype=np.int64)
    held = [np.sort(rows[begin:end]) if split < 0 else none for split, (begin, end) in zip(feature, span, strict=True)]
    return feature, threshold, child, held


def _assemble(grown: list[_Grown], expression: Single, markers: int) -> MedianForest:
    """Give every leaf a row: that of its one cell, or a new one with the median of its cells."""
    extra: list[Single] = []
    known: dict[bytes, int] = {}
    trees = []
    for feature, threshold, child, held in grown:
        cell = np.full(len(feature), -1, dtype=np.int64)
        for node, rows in enumerate(held):
            if not len(rows):
                continue
            if rows[0] == rows[-1]:
                cell[node] = rows[0]
                continue
            key = rows.tobytes()
            if key not in known:
                known[key] = len(expression) + len(extra)
                extra.append(np.median(expression[rows], axis=0).astype(np.float32))
            cell[node] = known[key]
        trees.append(_Tree(feature=feature, threshold=threshold, child=child, cell=cell))
    cells = np.concatenate([expression, np.stack(extra)]) if extra else expression
    return MedianForest(trees=tuple(trees), cells=cells, markers=markers)
