"""Are the same genes predictable in two studies? Agreement of the ranks of their per-gene scores.

Scores of two studies need not be of one kind (r², r, accuracy): Spearman's rank correlation looks at order alone. How
much agreement there is by chance is the range of the correlation over random pairings of the same scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from framework.errors import InputError
from framework.evaluate.intervals import bootstrap_columns, quantile_interval
from framework.evaluate.metrics import Floats

FEWEST = 5
"""Fewer shared genes say nothing about order."""
_HELD = 4_000_000


@dataclass(frozen=True, kw_only=True)
class RankAgreement:
    """Agreement of two lists of scores.

    Attributes:
        n: genes with a score in both.
        rho: Spearman's rank correlation, -1..1.
        low, high: 2.5 and 97.5 % quantiles over resampled genes.
        chance_low, chance_high: the same quantiles over random pairings.
        p: share of random pairings that agree or disagree as much, two-sided.
    """

    n: int
    rho: float
    low: float
    high: float
    chance_low: float
    chance_high: float
    p: float


def rank_agreement(
    ours: npt.ArrayLike, theirs: npt.ArrayLike, *, permutations: int = 10_000, seed: int = 0
) -> RankAgreement:
    """Compare the order of scores.

    Args:
        ours, theirs: (n,) scores of the same genes, NaN where unknown.
        permutations: random pairings, and resamples of genes.
        seed: seed of both.

    Raises:
        InputError: fewer than five genes with both scores, or scores that are all equal.
    """
    left, right = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    known = np.isfinite(left) & np.isfinite(right)
    n = int(known.sum())
    if n < FEWEST:
        raise InputError(f"{n} genes have a score in both studies; expected {FEWEST} or more to compare their order")
    ranks = [_standard(rankdata(side[known])) for side in (left, right)]
    if any(not np.any(side) for side in ranks):
        raise InputError(f"the scores of {n} genes are all equal in one study, so they have no order to compare")
    rho = float(ranks[0] @ ranks[1])
    random = np.random.default_rng(seed)
    step = max(1, _HELD // n)
    drawn = np.concatenate(
        [
            random.permuted(np.tile(ranks[0], (min(step, permutations - start), 1)), axis=1) @ ranks[1]
            for start in range(0, permutations, step)
        ]
    )
    low, high, _ = bootstrap_columns(ranks[0][:, None], ranks[1][:, None], seed=seed, resamples=permutations)
    chance = quantile_interval(drawn)
    reached = int((np.abs(drawn) >= abs(rho) - 1e-12).sum())
    return RankAgreement(
        n=n,
        rho=rho,
        low=float(low[0]),
        high=float(high[0]),
        chance_low=chance[0],
        chance_high=chance[1],
        p=(1 + reached) / (1 + permutations),
    )


def _standard(ranks: Floats) -> Floats:
    """Return ranks centred and of length 1; zeros where all are equal."""
    centred = ranks - ranks.mean()
    length = float(np.linalg.norm(centred))
    standard: Floats = centred / length if length > 0 else centred
    return standard
