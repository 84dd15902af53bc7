"""What an evaluation may be told: which test decides, at which level, and how intervals are drawn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from framework.config import StrictModel


class EvaluateConfig(StrictModel):
    """Options of ``evaluate``; the defaults are those of the Image2Omics code (uncorrected, well by well)."""

    test: Literal["wilcoxon", "mann_whitney"] = "wilcoxon"
    """``wilcoxon``: paired signed-rank test, as the authors' code; ``mann_whitney``: unpaired, as the paper says."""
    correction: Literal["none", "benjamini_hochberg"] = "none"
    """Whether ``significant`` looks at p or at the false-discovery-adjusted q."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    unit: Literal["well", "condition"] = "well"
    """What the tests count as one observation. Replicate wells share their label, so wells of one condition are not
    independent; ``condition`` averages their errors first and is the stricter choice."""
    resamples: int = Field(default=10_000, ge=100)
    """Bootstrap resamples of the marker correlations."""
    seed: int = Field(default=0, ge=0)
    """Seed of the bootstrap."""
