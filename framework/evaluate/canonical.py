"""Canonical correlation of two sets of features of the same wells, and how similar single features are in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.evaluate.alignment import canonical_correlations

Floats = npt.NDArray[np.float64]
_ROWS_PER_COMPONENT = 5
"""Wells for each principal component that takes part: with fewer, any two sets correlate perfectly."""
_FLAT = 1e-8


@dataclass(frozen=True, kw_only=True)
class Canonical:
    """Two sets of features in their common space.

    Attributes:
        correlations: correlations of the canonical variates, highest first.
        similarity: (q, p) of each feature of the second set and each of the first, -1..1: the inner product of their
            correlations with the variates (González et al. 2012, "Visualising associations between paired omics data
            sets").
        loadings: two of (p or q, k): correlation of each feature with the variates of its own set; NaN for constants.
    """

    correlations: Floats
    similarity: Floats
    loadings: tuple[Floats, Floats]


def canonical(first: Floats, second: Floats, components: int = 3) -> Canonical:
    """Correlate two sets of features canonically (Hotelling 1936).

    Both are standardised, and reduced to as many principal components as the number of rows allows, so that the
    correlations mean something with few wells.

    Args:
        first: (n, p).
        second: (n, q).
        components: pairs of variates that the similarity is taken over.

    Raises:
        InputError: values that are not numbers, no feature that varies, or fewer than four rows.
    """
    found = canonical_correlations(first, second, max(1, len(first) // (2 * _ROWS_PER_COMPONENT)))
    left, right = (variates[:, :components] for variates in found.variates)
    # The axis between both variates of a pair stands for the pair.
    axes = _unit(left + right)
    similarity: Floats = (_unit(_centred(second)).T @ axes) @ (_unit(_centred(first)).T @ axes).T
    return Canonical(correlations=found.correlations, similarity=similarity, loadings=(found.left, found.right))


def _centred(values: Floats) -> Floats:
    """Return centred columns; those that do not vary, but for rounding, are 0."""
    centred = values - values.mean(axis=0)
    return np.where(centred.std(axis=0) > _FLAT * (1 + np.abs(values).max()), centred, 0.0)


def _unit(values: Floats) -> Floats:
    length = np.linalg.norm(values, axis=0)
    unit: Floats = np.divide(values, length, out=np.zeros_like(values), where=length > 0)
    return unit
