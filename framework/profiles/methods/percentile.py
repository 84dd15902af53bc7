"""``percentile``: two percentiles of the controls of a group become 0 and 1, as CellProfiler Analyst scales profiles.

Source: Ljosa 2013, "Comparison of methods for image-based profiling", with the 1st and the 99th percentile of DMSO.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from framework.profiles.methods.base import METHODS, Floats
from framework.profiles.methods.group_scaling import GroupScaling, ScalingOptions


class PercentileOptions(ScalingOptions):
    """Options of ``percentile``."""

    name: Literal["percentile"] = "percentile"
    low: float = Field(default=1.0, ge=0, le=100)
    """Percentile that becomes 0."""
    high: float = Field(default=99.0, ge=0, le=100)
    """Percentile that becomes 1, where ``prior`` is 0."""

    @model_validator(mode="after")
    def _check(self) -> PercentileOptions:
        if self.low >= self.high:
            raise ValueError(f"expected low below high, found {self.low:g} and {self.high:g}")
        return self


@METHODS.register("percentile", PercentileOptions)
class Percentile(GroupScaling[PercentileOptions]):
    """(value - low percentile) / (high percentile - low percentile) of the controls."""

    def zero(self, values: Floats) -> Floats:
        """Return the low percentile of rows (m, d), (d,)."""
        low: Floats = np.percentile(values, self.options.low, axis=0)
        return low

    def middle(self, values: Floats) -> Floats:
        """Return the mean of rows (m, d), (d,)."""
        mean: Floats = values.mean(axis=0)
        return mean

    def spread(self, values: Floats) -> Floats:
        """Return the distance between the percentiles of rows (m, d), (d,)."""
        low, high = np.percentile(values, [self.options.low, self.options.high], axis=0)
        width: Floats = high - low
        return width
