"""Canonical correlation of two sets of features of the same wells, and how similar single features are in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_ROWS_PER_COMPONENT = 5
"""Wells for each principal component that takes part: with fewer, any two sets correlate perfectly."""
_FLAT = 1e-8


@dataclass(frozen=True, kw_only=True)
class Canonical:
    """Two sets of features in their common space.

    Attributes:
        correlations: of the canonical variates, highest first.
        similarity: (q, p) of each feature of the second set and each of the first, -1..1: the inner product of their
            correlations with the variates (González et al. 2012, "Visualising associations between paired omics data
            sets").
    """

    correlations: Floats
    similarity: Floats


def canonical(first: Floats, second: Floats, components: int = 3) -> Canonical:
    """Correlate two sets of features canonically (Hotelling 1936).

    Both are standardised, and reduced to as many principal components as the number of rows allows, so that the
    correlations mean something with few wells.

    Args:
        first: (n, p).
        second: (n, q).
        components: pairs of variates that the similarity is taken over.
    """
    x, y = _standard(first), _standard(second)
    most = max(1, len(x) // (2 * _ROWS_PER_COMPONENT))
    left, right = _whitened(x, most), _whitened(y, most)
    u, correlations, v = np.linalg.svd(left.T @ right, full_matrices=False)
    count = min(components, len(correlations))
    # The axis between both variates of a pair stands for the pair.
    axes = left @ u[:, :count] + right @ v[:count].T
    axes /= np.linalg.norm(axes, axis=0)
    similarity: Floats = (_unit(y).T @ axes) @ (_unit(x).T @ axes).T
    return Canonical(correlations=np.clip(correlations, 0, 1), similarity=similarity)


def _standard(values: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    sd = centred.std(axis=0)
    scaled: Floats = np.divide(centred, sd, out=np.zeros_like(centred), where=sd > _FLAT * (1 + np.abs(values).max()))
    return scaled


def _unit(values: Floats) -> Floats:
    length = np.linalg.norm(values, axis=0)
    unit: Floats = np.divide(values, length, out=np.zeros_like(values), where=length > 0)
    return unit


def _whitened(values: Floats, most: int) -> Floats:
    """Return orthonormal columns that span the first ``most`` principal components."""
    left, sizes, _ = np.linalg.svd(values, full_matrices=False)
    rank = int((sizes > _FLAT * max(sizes[0], 1e-30)).sum())
    kept: Floats = left[:, : max(1, min(most, rank))]
    return kept
