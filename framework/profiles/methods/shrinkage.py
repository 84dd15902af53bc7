"""Covariance of few rows of many features: directions that vary, and how far the rest is filled up.

The covariance of n rows is shrunk towards a multiple of the identity (Ledoit and Wolf 2004, eq. 14): (1 - s) C + s m I,
where m is the mean variance. The strength s is what predicts held-out control rows best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framework.profiles.methods.base import Floats, Ints

STRENGTHS = (0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
_NOTHING = 1e-10


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrum:
    """Where rows vary.

    Attributes:
        directions: (k, d) orthonormal.
        variances: (k,) > 0, decreasing.
    """

    directions: Floats
    variances: Floats

    @classmethod
    def of(cls, centred: Floats, freedom: int) -> Spectrum:
        """Return the spectrum of rows (n, d) whose means were taken off; ``freedom`` is what divides their squares."""
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        kept = singular > _NOTHING * max(float(singular.max(initial=0.0)), np.finfo(np.float64).tiny)
        return cls(directions=directions[kept], variances=singular[kept] ** 2 / freedom)

    def shrunk(self, strength: float) -> tuple[Floats, float]:
        """Return the variances (k,) of a shrunk covariance along the directions, and the one of all others."""
        rest = strength * float(self.variances.sum()) / max(self.directions.shape[1], 1)
        return (1 - strength) * self.variances + rest, rest

    def log_likelihood(self, centred: Floats, strength: float) -> float:
        """Return the summed normal log-likelihood of other centred rows (n, d), without its constant."""
        along, rest = self.shrunk(strength)
        coordinates = centred @ self.directions.T
        squares = (coordinates**2).sum(axis=1)
        # In the directions nobody has seen, only the length is left.
        outside = np.maximum((centred**2).sum(axis=1) - squares, 0.0)
        unseen = centred.shape[1] - len(along)
        fit = (coordinates**2 / along).sum(axis=1) + outside / rest
        return float(-0.5 * (fit.sum() + len(centred) * (np.log(along).sum() + unseen * np.log(rest))))


def choose_strength(centred: Floats, folds: Ints, strengths: Sequence[float] = STRENGTHS) -> float:
    """Return the strength under which held-out rows are most likely; of equal ones the largest.

    Args:
        centred: (n, d) rows without their group's mean, features that vary.
        folds: (n,) fold of each row, two or more.
        strengths: to choose from, each above 0 and at most 1.
    """
    total = np.zeros(len(strengths))
    for fold in np.unique(folds):
        train, test = centred[folds != fold], centred[folds == fold]
        spectrum = Spectrum.of(train, len(train))
        if not len(spectrum.variances):
            continue
        total += [spectrum.log_likelihood(test, strength) for strength in strengths]
    best = len(strengths) - 1 - int(np.argmax(total[::-1]))
    return float(strengths[best])


def deal_folds(groups: Ints, most: int) -> Ints:
    """Return the fold of each row, (n,), from its group: whole groups where there are two or more, else single rows.

    Groups are dealt in their order.
    """
    names = np.unique(groups)
    units = groups if len(names) > 1 else np.arange(len(groups))
    _, place = np.unique(units, return_inverse=True)
    folds: Ints = (place.ravel() % min(most, int(place.max(initial=0)) + 1)).astype(np.int64)
    return folds
