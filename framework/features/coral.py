"""CORAL: features of one batch are given the covariance (and mean) that its controls have in all batches.

Source: Sun, Feng and Saenko 2016, "Return of frustratingly easy domain adaptation", algorithm 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def coral(values: Floats, source: Floats, target: Floats, *, ridge: float = 1.0, means: bool = True) -> Floats:
    """Return features moved so that those like ``source`` come to look like ``target``.

    x -> (x - mean of source) C_s^-1/2 C_t^1/2 + mean, with C = covariance + ``ridge`` times the identity.

    Args:
        values: (n, d), of the batch.
        source: (s, d), controls of the batch, s >= 2.
        target: (t, d), controls to look like, t >= 2.
        ridge: added to both diagonals, > 0 where there are fewer controls than features; the paper has 1, for features
            of sd 1.
        means: whether the mean becomes that of the target; the paper moves covariances alone.

    Raises:
        ValueError: fewer than two controls, or a negative ridge.
    """
    if min(len(source), len(target)) < 2 or ridge < 0:
        raise ValueError(f"expected two controls or more and ridge >= 0, found {len(source)}, {len(target)}, {ridge}")
    identity = ridge * np.eye(values.shape[1])
    whiten = _power(np.cov(source, rowvar=False).reshape(identity.shape) + identity, -0.5)
    colour = _power(np.cov(target, rowvar=False).reshape(identity.shape) + identity, 0.5)
    centre = source.mean(axis=0)
    moved: Floats = (values - centre) @ whiten @ colour + (target.mean(axis=0) if means else centre)
    return moved


def _power(matrix: Floats, power: float) -> Floats:
    """Return a power of a symmetric matrix; directions without variance stay without."""
    sizes, axes = np.linalg.eigh(matrix)
    kept = sizes > 1e-12 * max(sizes[-1], 1e-300)
    scaled = np.zeros_like(sizes)
    scaled[kept] = sizes[kept] ** power
    powered: Floats = (axes * scaled) @ axes.T
    return powered
