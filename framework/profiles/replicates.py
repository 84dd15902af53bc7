"""Do replicates correlate more than wells of different treatments? (percent replicating, Way 2022)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
_QUANTILE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class ReplicateCorrelation:
    """Correlation of replicates.

    Attributes:
        of_treatment: treatment -> median Pearson correlation of its pairs of wells; treatments with two or more.
        threshold: 95 % quantile of the correlation of wells of different treatments; NaN without any.
        replicating: share of those treatments above the threshold; NaN without any.
    """

    of_treatment: Mapping[str, float]
    threshold: float
    replicating: float


def replicate_correlation(values: Floats, treatments: Names, compounds: Names) -> ReplicateCorrelation:
    """Correlate all pairs of wells.

    Args:
        values: (n, d).
        treatments: (n,) replicates share it.
        compounds: (n,) pairs of one compound at different doses are neither replicates nor different.
    """
    centred = values - values.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = np.divide(centred, lengths, out=np.zeros_like(centred), where=lengths > 0)
    r = unit @ unit.T
    upper = np.triu(np.ones(r.shape, dtype=np.bool_), 1)
    other = upper & (treatments[:, None] != treatments[None, :]) & (compounds[:, None] != compounds[None, :])
    threshold = float(np.quantile(r[other], _QUANTILE)) if other.any() else float("nan")
    medians: dict[str, float] = {}
    for name in dict.fromkeys(treatments.tolist()):
        mine = np.flatnonzero(treatments == name)
        if len(mine) > 1:
            medians[str(name)] = float(np.median(r[np.ix_(mine, mine)][np.triu_indices(len(mine), 1)]))
    above = [value > threshold for value in medians.values()]
    share = float(np.mean(above)) if above and not np.isnan(threshold) else float("nan")
    return ReplicateCorrelation(of_treatment=medians, threshold=threshold, replicating=share)
