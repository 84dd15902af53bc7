"""Is a gene predicted better than by its train mean: one-sided tests for all genes at once, and the shares they give.

The tests of errors equal ``scipy.stats.wilcoxon`` and ``scipy.stats.mannwhitneyu`` called gene by gene with
``alternative="less"`` and ``method="auto"``: exact for few wells, normal approximation with tie correction for many.
Ranking runs over all genes in one call and the null distributions are shared between genes of one rank pattern, so
26,000 genes take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr
from scipy.stats import false_discovery_control, rankdata

from framework.evaluate.metrics import Floats, paired, pearson

_WILCOXON_EXACT = 50
"""Up to so many wells, without ties or zeros, the null distribution of the signed-rank sum is enumerated."""
_WILCOXON_PERMUTED = 13
"""Up to so many wells it is enumerated with ties and zeros too: at most 2**13 sign patterns."""
_MANN_WHITNEY_EXACT = 8


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Counts of genes behind a headline share (Image2Omics, figure 3).

    Attributes:
        significant: genes with p below alpha.
        not_significant: genes tested without success.
        filtered: genes that could not be tested: too low expression, or nothing measured in the test wells.
    """

    significant: int
    not_significant: int
    filtered: int

    @property
    def total(self) -> int:
        """Every gene, the denominator of the share."""
        return self.significant + self.not_significant + self.filtered

    @property
    def share(self) -> float:
        """Significant part of all genes, 0..1; NaN without genes."""
        return self.significant / self.total if self.total else float("nan")


def count_shares(p: npt.ArrayLike, alpha: float = 0.05, filtered: int = 0) -> Shares:
    """Count genes with ``p < alpha``; NaN p-values join the ``filtered`` genes that have no p-value at all."""
    values = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(values)
    significant = int((values[tested] < alpha).sum())
    return Shares(
        significant=significant,
        not_significant=int(tested.sum()) - significant,
        filtered=filtered + int((~tested).sum()),
    )


def wilcoxon_less(model: npt.ArrayLike, baseline: npt.ArrayLike) -> Floats:
    """Return p-values of the paired signed-rank test that the model's errors are smaller.

    Zero differences are dropped (Wilcoxon's method). A gene whose differences are all zero has p = 1, where scipy gives
    NaN for more than 13 wells: the model is then known to be no better.

    Args:
        model: errors of the model, (wells, G), NaN where unknown.
        baseline: errors of the train-mean predictor for the same wells.

    Returns:
        (G,) in 0..1; NaN for a gene without a pair.
    """
    left, right = paired(model, baseline)
    difference = (left - right).T
    known = ~np.isnan(difference)
    n_pairs = known.sum(axis=1)
    counted = known & (difference != 0)
    n = counted.sum(axis=1)
    ranks, group = _ranks(np.abs(difference), counted)
    plus = np.where(difference > 0, ranks, 0.0).sum(axis=1)
    plain = (n == n_pairs) & (group.max(axis=1, initial=0) <= 1)
    exact = (n_pairs <= _WILCOXON_PERMUTED) | (plain & (n_pairs <= _WILCOXON_EXACT))

    variance = (n * (n + 1.0) * (2.0 * n + 1.0) - (np.where(counted, group**2 - 1.0, 0.0)).sum(axis=1) / 2.0) / 24.0
    with np.errstate(divide="ignore", invalid="ignore"):
        p: Floats = np.asarray(ndtr((plus - n * (n + 1.0) / 4.0) / np.sqrt(variance)), dtype=np.float64)
    p[exact] = _signed_rank_cdf(plus[exact], np.where(counted, ranks, 0.0)[exact])
    p[n == 0] = 1.0
    p[n_pairs == 0] = np.nan
    return p


def mann_whitney_less(model: npt.ArrayLike, baseline: npt.ArrayLike) -> Floats:
    """Return p-values of the one-sided Mann-Whitney U test that the model's errors are smaller.

    The test the paper names; it ignores that both errors come from the same well and so finds less than the paired one.
    Arguments and result as ``wilcoxon_less``; genes whose errors are all equal have p = 1.
    """
    left, right = paired(model, baseline)
    both = np.concatenate([left, right]).T
    known = ~np.isnan(both)
    n = known.sum(axis=1) // 2
    ranks, group = _ranks(both, known)
    u_model = np.where(known, ranks, 0.0)[:, : len(left)].sum(axis=1) - n * (n + 1.0) / 2.0
    u = n * n - u_model
    exact = (n <= _MANN_WHITNEY_EXACT) & (n > 0) & (group.max(axis=1, initial=0) <= 1)

    ties = np.where(known, group**2 - 1.0, 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(n * n / 12.0 * ((2.0 * n + 1.0) - ties / (2.0 * n * (2.0 * n - 1.0))))
        p: Floats = np.asarray(ndtr(-(u - n * n / 2.0 - 0.5) / sd), dtype=np.float64)
    for count in np.unique(n[exact]):
        these = exact & (n == count)
        p[these] = _u_upper_tail(int(count))[u[these].astype(np.int64)]
    p[(n > 0) & ~exact & (sd == 0)] = 1.0
    p[n == 0] = np.nan
    return p


def regression_p(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return two-sided p-values of a slope of zero, as ``scipy.stats.linregress`` gene by gene.

    Args:
        predicted, measured: (wells, G), NaN where unknown.

    Returns:
        (G,) in 0..1; NaN where r is undefined, and with two wells, which always lie on a line.
    """
    left, right = paired(predicted, measured)
    freedom = (~np.isnan(left)).sum(axis=0) - 2.0
    r = pearson(left, right)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(r) * np.sqrt(freedom / ((1.0 - r) * (1.0 + r)))
        p: Floats = 2.0 * np.asarray(stdtr(freedom, -t), dtype=np.float64)
    p[(freedom < 1) | np.isnan(r)] = np.nan
    return p


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Return false-discovery-adjusted p-values (Benjamini & Hochberg 1995); NaN entries stay NaN and do not count."""
    values = np.asarray(p, dtype=np.float64)
    q: Floats = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    if tested.any():
        q[tested] = false_discovery_control(values[tested])
    return q


def _ranks(values: Floats, counted: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return average ranks among the counted entries of each row, and the size of each entry's group of ties."""
    if values.shape[1] == 0:
        return np.zeros(values.shape), np.zeros(values.shape)
    filled = np.where(counted, values, np.inf)
    first = np.asarray(rankdata(filled, method="min", axis=1), dtype=np.float64)
    last = np.asarray(rankdata(filled, method="max", axis=1), dtype=np.float64)
    return (first + last) / 2.0, np.where(counted, last - first + 1.0, 0.0)


def _signed_rank_cdf(plus: Floats, ranks: Floats) -> Floats:
    """Return P(sum of positive ranks <= plus) under random signs; ``ranks`` (G, wells) holds 0 for dropped wells.

    Ranks are doubled, so that average ranks of ties are whole numbers; genes with equal patterns share a distribution.
    """
    patterns, which = np.unique(np.sort(np.rint(2.0 * ranks).astype(np.int64), axis=1), axis=0, return_inverse=True)
    doubled = np.rint(2.0 * plus).astype(np.int64)
    p: Floats = np.empty(len(plus))
    for row, pattern in enumerate(patterns):
        mass = np.ones(1)
        for rank in pattern[pattern > 0]:
            shifted = np.concatenate([np.zeros(rank), mass])
            mass = 0.5 * (np.concatenate([mass, np.zeros(rank)]) + shifted)
        these = which.ravel() == row
        p[these] = np.minimum(np.cumsum(mass)[doubled[these]], 1.0)
    return p


def _u_upper_tail(n: int) -> Floats:
    """Return P(U >= u) for u = 0..n*n, two samples of n without ties, by counting rank sums of n out of 2n."""
    ways = np.zeros((n + 1, n * n + 1))
    ways[0, 0] = 1.0
    for item in range(2 * n):
        for chosen in range(min(item + 1, n), 0, -1):
            # The chosen-th smallest of the first sample stands at position `item`: it beats item - (chosen - 1) others.
            beaten = item - (chosen - 1)
            if beaten <= n:
                ways[chosen, beaten:] += ways[chosen - 1, : n * n + 1 - beaten]
    tail: Floats = np.cumsum(ways[n][::-1])[::-1] / ways[n].sum()
    return tail
