"""What an evaluation may be told: which test decides, at which level, how intervals are drawn, what is ranked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from framework.config import StrictModel


class EvaluateConfig(StrictModel):
    """Options of ``evaluate``; the defaults are those of the Image2Omics code (uncorrected, well by well)."""

    test: Literal["wilcoxon", "mann_whitney"] = "wilcoxon"
    """``wilcoxon``: paired signed-rank test, as the authors' code; ``mann_whitney``: unpaired, as the paper says."""
    correction: Literal["none", "benjamini_hochberg"] = "none"
    """Whether ``significant`` uses p, or q adjusted for the false discovery rate."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """A gene is significant below this p (or q)."""
    unit: Literal["well", "condition"] = "well"
    """What the tests count as one observation. Replicate wells share their label, so wells of one condition are not
    independent; ``condition`` averages their errors first. Where nothing is predicted, the signed-rank test and the
    regression find a share alpha of genes per condition, and several times as many per well: of 2,000 simulated genes,
    30 conditions of 4 wells, 4 % against 17 % and 4 % against 28 % at alpha 0.05. Mann-Whitney per condition finds too
    few (1 %), because it takes the two errors of a label as independent."""
    interval: Literal["p_quantiles", "split_shares"] = "p_quantiles"
    """What the interval of the headline share is. ``p_quantiles``, as the authors' code: the value is the share of
    genes whose median p over splits is below alpha, the low end the share whose 97.5 % quantile is, the high end the
    share whose 2.5 % quantile is.
    ``split_shares``: each split has a share of its own; the value is their median, the ends are their quantiles."""
    ranked: Literal["significant", "all"] = "significant"
    """Which genes the tables of best and worst genes rank by median r2. ``significant``, as Tables 1-4 and the authors'
    code: those with a median p below alpha both in the test of errors and in the regression of predicted on measured
    values. ``all``: every gene that has an r2."""
    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of the marker correlations."""
    seed: int = Field(default=0, ge=0)
    """Seed of the bootstrap."""
