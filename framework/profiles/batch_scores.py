"""How well batches are mixed, and how much biology is kept: scores in the style of scib (Luecken 2022).

All run from 0 (bad) to 1 (good) and are measured on the leading principal components of wells.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score, silhouette_samples

from framework.evaluate.alignment import batch_in_components
from framework.features.neighbours import nearest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]
_COMPONENTS = 50
_NEIGHBOURS = 30
_MIXING_WEIGHT = 0.4
"""Of mixing in the total; what is kept counts 0.6, as in scib."""

MIXING = ("batch_silhouette", "batch_neighbours", "batch_components")
KEPT = ("class_silhouette", "class_neighbours", "class_clusters")


def batch_scores(values: Floats, batches: Names, classes: Names, seed: int = 0) -> Mapping[str, float]:
    """Score wells.

    Args:
        values: (n, d), finite.
        batches: (n,).
        classes: (n,) what should stay apart: the class of the treatment, and the control.
        seed: seed of the clusters.

    Returns:
        ``batch_silhouette``: 1 - |silhouette of batches within a class|, mean over classes. ``batch_neighbours``: how
        many batches are among the neighbours of a well, as the inverse Simpson index scaled to 0..1.
        ``batch_components``: 1 - share of variance that lies between batches. ``class_silhouette``: of classes, scaled
        to 0..1. ``class_neighbours``: 1 - scaled inverse Simpson index of classes. ``class_clusters``: normalised
        mutual information of classes and as many k-means clusters. ``mixing``, ``kept``: means of three; ``total``:
        0.4 mixing + 0.6 kept. NaN where there is one batch or one class.
    """
    points = _components(values)
    batch, label = (np.unique(names.astype(str), return_inverse=True)[1].ravel() for names in (batches, classes))
    scores = {name: float("nan") for name in (*MIXING, *KEPT)}
    near = _neighbours(points)
    if batch.max() > 0:
        parts = batch_in_components(points, batch, points.shape[1])
        shares = parts["variance_share"].to_numpy()
        between = float((shares * parts["batch_share"].to_numpy()).sum() / max(shares.sum(), 1e-300))
        scores["batch_silhouette"] = _batch_silhouette(points, batch, label)
        scores["batch_neighbours"] = _diversity(batch[near], int(batch.max()) + 1)
        scores["batch_components"] = 1 - between
    if label.max() > 0:
        scores["class_neighbours"] = 1 - _diversity(label[near], int(label.max()) + 1)
        if label.max() + 1 < len(label):
            scores["class_silhouette"] = float((silhouette_samples(points, label).mean() + 1) / 2)
        clusters = KMeans(int(label.max()) + 1, n_init=10, random_state=seed).fit_predict(points)
        scores["class_clusters"] = float(normalized_mutual_info_score(label, clusters))
    mixing, kept = (float(np.mean([scores[name] for name in names])) for names in (MIXING, KEPT))
    return {**scores, "mixing": mixing, "kept": kept, "total": _MIXING_WEIGHT * mixing + (1 - _MIXING_WEIGHT) * kept}


def _components(values: Floats) -> Floats:
    left, singular, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    most = min(_COMPONENTS, len(singular))
    points: Floats = left[:, :most] * singular[:most]
    return points


def _neighbours(points: Floats) -> Ints:
    k = max(1, min(_NEIGHBOURS, (len(points) - 1) // 2))
    own = np.arange(len(points), dtype=np.int64)
    scaled = points / max(float(np.abs(points).max(initial=0.0)), np.finfo(np.float64).tiny)
    return nearest(scaled, scaled, k, query_groups=own, reference_groups=own).rows


def _diversity(names: Ints, count: int) -> float:
    """Return the median inverse Simpson index of the names (n, k) around each row, scaled from 1..count to 0..1."""
    shares = np.stack([(names == name).mean(axis=1) for name in range(count)])
    return float((np.median(1 / (shares**2).sum(axis=0)) - 1) / (count - 1))


def _batch_silhouette(points: Floats, batch: Ints, label: Ints) -> float:
    found = []
    for name in np.unique(label):
        mine = label == name
        if 1 < len(np.unique(batch[mine])) < int(mine.sum()):
            found.append(float((1 - np.abs(silhouette_samples(points[mine], batch[mine]))).mean()))
    return float(np.mean(found)) if found else float("nan")
