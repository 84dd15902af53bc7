"""Nearest-neighbour class matching: does the most similar profile share the class (Ljosa 2013)?

NSC: the neighbour must be of another compound. NSB: and of another batch (Ando 2017), so that what a batch has in
common helps nobody. A profile counts where its class has another profile that is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.evaluate.intervals import quantile_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Names = npt.NDArray[np.object_]
_ROUNDING = 1e-12
"""Similarities of equal profiles differ by less."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """The nearest allowed profile of each.

    Attributes:
        nearest: (n,) row; -1 where none is allowed.
        counts: (n,) whether its class has another profile that is allowed.
        hit: (n,) whether the nearest has its class.
        chance: share of hits that a random allowed neighbour would give, over profiles that count; NaN without any.
        tied: profiles that count and have several nearest, equally similar, of different classes.
    """

    nearest: Ints
    counts: Mask
    hit: Mask
    chance: float
    tied: int

    @property
    def accuracy(self) -> float:
        """Share of hits among profiles that count; NaN without any."""
        return float(self.hit[self.counts].mean()) if self.counts.any() else float("nan")


def match_classes(similarity: Floats, classes: Names, allowed: Mask) -> Matches:
    """Find the nearest allowed profile of each.

    Args:
        similarity: (n, n).
        classes: (n,), empty where unknown; those profiles neither count nor are neighbours. Of equally similar
            neighbours the first is the nearest.
        allowed: (n, n) which profiles may be neighbours of which; the own one is none.
    """
    known = classes != ""
    may = allowed & known[None, :] & known[:, None]
    np.fill_diagonal(may, False)
    same = classes[:, None] == classes[None, :]
    some = may.any(axis=1)
    similar = np.where(may, similarity, -np.inf)
    nearest = np.where(some, similar.argmax(axis=1), -1).astype(np.int64)
    counts = (may & same).any(axis=1)
    hit = some & (classes[nearest] == classes)
    as_near = may & (similar >= similar.max(axis=1, initial=-np.inf, keepdims=True) - _ROUNDING)
    tied = int((counts & (as_near & (classes[nearest][:, None] != classes[None, :])).any(axis=1)).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (may & same).sum(axis=1) / may.sum(axis=1)
    chance = float(shares[counts].mean()) if counts.any() else float("nan")
    return Matches(nearest=nearest, counts=counts, hit=hit, chance=chance, tied=tied)


def interval_over(values: Floats, units: Names, resamples: int, seed: int) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % quantiles of the mean over resampled units.

    Args:
        values: (n,), NaN where unknown.
        units: (n,) what is drawn with replacement, as compounds: their doses are not independent.
        resamples: draws.
        seed: seed of the draws.
    """
    known = ~np.isnan(values)
    if not known.any():
        return float("nan"), float("nan")
    names, place = np.unique(units[known].astype(str), return_inverse=True)
    sums = np.bincount(place.ravel(), weights=values[known], minlength=len(names))
    sizes = np.bincount(place.ravel(), minlength=len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), size=(resamples, len(names)))
    return quantile_interval(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
