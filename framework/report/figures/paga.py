"""Where a map of points begins: clusters that are connected lie together (PAGA), points near their cluster.

Source: Wolf et al. 2019, "PAGA: graph abstraction reconciles clustering with trajectory inference".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import shortest_path
from sklearn.neighbors import NearestNeighbors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_EXTENT = 10.0
"""Half the side of the map that UMAP begins in."""


def paga_start(values: Floats, neighbours: int, clusters: int | None = None) -> Floats:
    """Return a place (n, 2) for each of ``values`` (n, d).

    Clusters are Ward's, their connectivity is PAGA's, their places keep the lengths of the shortest paths between them,
    and points stand around their cluster as they do in its own two principal directions.

    Args:
        values: (n, d), n > ``neighbours``.
        neighbours: neighbours of the graph.
        clusters: how many; None: the square root of n / 2, from 2 to 30.
    """
    count = clusters if clusters is not None else int(np.clip(np.sqrt(len(values) / 2), 2, 30))
    label = fcluster(linkage(values, method="ward"), count, criterion="maxclust").astype(np.int64) - 1
    nearest = NearestNeighbors(n_neighbors=neighbours).fit(values).kneighbors(return_distance=False)
    places = _layout(connectivity(label, nearest))
    start = places[label]
    for cluster in range(int(label.max()) + 1):
        mine = label == cluster
        start[mine] += _within(values[mine]) * _spacing(places) / 4
    centred = start - start.mean(axis=0)
    scaled: Floats = centred * (_EXTENT / max(float(np.abs(centred).max()), 1e-12))
    return scaled


def connectivity(label: Ints, nearest: Ints) -> Floats:
    """Return (k, k): edges between two clusters over those expected of random edges, at most 1; 0 on the diagonal.

    Args:
        label: (n,), cluster 0 .. k - 1 of each point.
        nearest: (n, m), its neighbours.
    """
    k, n = int(label.max()) + 1, len(label)
    edges = np.zeros((k, k))
    np.add.at(edges, (np.repeat(label, nearest.shape[1]), label[nearest].ravel()), 1)
    edges += edges.T
    sizes, leaving = np.bincount(label, minlength=k), edges.sum(axis=1)
    expected = (np.outer(leaving, sizes) + np.outer(sizes, leaving)) / (n - 1)
    found: Floats = np.divide(edges, expected, out=np.zeros_like(edges), where=expected > 0).clip(max=1)
    np.fill_diagonal(found, 0)
    return found


def _layout(connected: Floats) -> Floats:
    """Return (k, 2): classical scaling of shortest paths, an edge as long as its clusters are little connected."""
    length = np.where(connected > 0, 1.0 / np.maximum(connected, 1e-6), 0)
    paths = shortest_path(length, directed=False)
    reachable = np.isfinite(paths)
    paths[~reachable] = 1.5 * paths[reachable].max(initial=1.0)
    # Long paths over weak edges would leave no room for the rest of the map.
    squares = np.log1p(paths) ** 2
    middle = np.eye(len(paths)) - 1 / len(paths)
    sizes, axes = np.linalg.eigh(-0.5 * middle @ squares @ middle)
    first = np.argsort(sizes)[::-1][:2]
    places = axes[:, first] * np.sqrt(np.clip(sizes[first], 0, None))
    return _signed(np.column_stack([places, np.zeros((len(places), 2 - places.shape[1]))]))


def _within(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(values), 2))
    kept = min(2, len(sizes))
    found[:, :kept] = left[:, :kept] * sizes[:kept]
    largest = float(np.abs(found).max())
    return _signed(found / largest if largest > 0 else found)


def _spacing(places: Floats) -> float:
    gaps = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=2))
    np.fill_diagonal(gaps, np.inf)
    nearest = gaps.min(axis=1)
    return float(np.median(nearest[np.isfinite(nearest)])) if len(places) > 1 else 1.0


def _signed(values: Floats) -> Floats:
    """Decompositions leave signs open: the entry of the largest size becomes positive."""
    largest = values[np.abs(values).argmax(axis=0), np.arange(values.shape[1])]
    signed: Floats = values * np.where(largest < 0, -1.0, 1.0)
    return signed
