"""Is a gene predicted better than by its train mean: one-sided tests for all genes at once, and the shares they give.

The tests of errors are those of scipy, called for many genes at once, and equal ``scipy.stats.wilcoxon`` and
``scipy.stats.mannwhitneyu`` called gene by gene with ``alternative="less"`` and ``method="auto"``: exact for few
wells, normal approximation with tie correction for many. "auto" looks at all genes of a call together, so the method is
named for each group of genes. Only the signed ranks of few wells with ties or zeros are enumerated here: scipy has no
exact distribution for them, and its permutation test walks through all sign patterns of each gene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr
from scipy.stats import false_discovery_control, mannwhitneyu, rankdata, wilcoxon

from framework.evaluate.metrics import Floats, paired, pearson

_Mask = npt.NDArray[np.bool_]
_WILCOXON_EXACT = 50
"""Up to so many wells, without ties or zeros, the null distribution of the signed-rank sum is exact."""
_WILCOXON_ENUMERATED = 13
"""Up to so many wells it is exact with ties and zeros too: at most 2**13 sign patterns."""
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
    n_pairs = (~np.isnan(difference)).sum(axis=1)
    few = n_pairs <= _WILCOXON_EXACT
    few[few] = ~(difference[few] == 0).any(axis=1) & ~_has_ties(np.abs(difference[few]))
    enumerated = ~few & (n_pairs <= _WILCOXON_ENUMERATED)
    # Zeros are dropped, so a gap may be one: genes with gaps need no call of their own.
    difference[np.isnan(difference)] = 0.0
    n = np.count_nonzero(difference, axis=1)

    p: Floats = np.where(n_pairs > 0, 1.0, np.nan)
    calls: dict[Literal["exact", "approx"], _Mask] = {"exact": few, "approx": ~few & ~enumerated}
    for method, genes in calls.items():
        if (genes := genes & (n > 0)).any():
            tested = wilcoxon(difference[genes], correction=False, alternative="less", method=method, axis=1)
            p[genes] = tested.pvalue
    p[enumerated] = _signed_rank_p(difference[enumerated])
    return p


def mann_whitney_less(model: npt.ArrayLike, baseline: npt.ArrayLike) -> Floats:
    """Return p-values of the one-sided Mann-Whitney U test that the model's errors are smaller.

    The test the paper names; it ignores that both errors come from the same well and so finds less than the paired one.
    Arguments (wells, G) and result (G,) as of ``wilcoxon_less``; genes whose errors are all equal have p = 1.
    """
    left, right = paired(model, baseline)
    known = ~np.isnan(left.T)
    n = known.sum(axis=1)
    p: Floats = np.full(len(n), np.nan)
    for count in np.unique(n[n > 0]):
        genes = n == count
        ours, theirs = (errors.T[genes][known[genes]].reshape(-1, count) for errors in (left, right))
        exact = (count <= _MANN_WHITNEY_EXACT) & ~_has_ties(np.concatenate([ours, theirs], axis=1))
        of_group = np.empty(len(ours))
        calls: dict[Literal["exact", "asymptotic"], _Mask] = {"exact": exact, "asymptotic": ~exact}
        for method, rows in calls.items():
            if rows.any():
                tested = mannwhitneyu(ours[rows], theirs[rows], alternative="less", method=method, axis=1)
                of_group[rows] = tested.pvalue
        p[genes] = of_group
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
    """Return p adjusted for false discovery, (G,) in 0..1 (Benjamini & Hochberg 1995); NaN stays, uncounted."""
    values = np.asarray(p, dtype=np.float64)
    q: Floats = np.full(values.shape, np.nan)
    tested = ~np.isnan(values)
    if tested.any():
        q[tested] = false_discovery_control(values[tested])
    return q


def _has_ties(values: Floats) -> _Mask:
    """Return which rows of ``values`` (G, wells) hold a value twice; NaN equals nothing."""
    ordered = np.sort(values, axis=1)
    ties: _Mask = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    return ties


def _signed_rank_p(difference: Floats) -> Floats:
    """Return P(sum of positive ranks <= the one found) under random signs, for rows of few wells with ties or zeros.

    Ranks are doubled, so that average ranks of ties are whole numbers; genes with equal patterns share a distribution.
    """
    zeros = (difference == 0).sum(axis=1, keepdims=True)
    ranks = np.where(difference != 0, rankdata(np.abs(difference), axis=1) - zeros, 0.0)
    doubled = np.rint(2.0 * ranks).astype(np.int64)
    plus = np.where(difference > 0, doubled, 0).sum(axis=1)
    patterns, which = np.unique(np.sort(doubled, axis=1), axis=0, return_inverse=True)
    p: Floats = np.empty(len(plus))
    for row, pattern in enumerate(patterns):
        mass = np.ones(1)
        for rank in pattern[pattern > 0]:
            shifted = np.concatenate([np.zeros(rank), mass])
            mass = 0.5 * (np.concatenate([mass, np.zeros(rank)]) + shifted)
        these = which.ravel() == row
        p[these] = np.minimum(np.cumsum(mass)[plus[these]], 1.0)
    return p
