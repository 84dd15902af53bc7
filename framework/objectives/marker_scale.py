"""From measured marker values to the scale a network is trained on, and what was measured to do so."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from framework.config import StrictModel
from framework.errors import RunError

Transform: TypeAlias = Literal["none", "log10", "log10p1", "unit_range"]
Values: TypeAlias = npt.NDArray[np.float64]


class MarkerScale(StrictModel):
    """One marker's transform and its statistics over training tiles.

    Attributes:
        marker: its name.
        transform: ``none``; ``log10``: log10(x); ``log10p1``: log10(x + 1); ``unit_range``: (x - low) / (high - low)
            with the smallest and largest training value, so other values may fall outside [0, 1].
        low: smallest training value, before the transform.
        high: largest.
        mean: mean of the transformed training values.
        sd: their standard deviation (ddof 1); 1 where they are all equal.
    """

    marker: str
    transform: Transform
    low: float
    high: float
    mean: float
    sd: float

    @classmethod
    def fit(cls, marker: str, transform: Transform, values: Values) -> MarkerScale:
        """Measure a marker.

        Args:
            marker: its name, for messages.
            transform: see the class.
            values: (n,) of training tiles, NaN where not measured.

        Raises:
            RunError: nothing measured, or values the transform cannot take.
        """
        known = values[~np.isnan(values)]
        if not len(known):
            raise RunError(f"marker '{marker}' is measured in no training tile; check the split or leave it out")
        low, high = float(known.min()), float(known.max())
        start = cls(marker=marker, transform=transform, low=low, high=high, mean=0.0, sd=1.0)
        scaled = start.apply(known)
        sd = float(scaled.std(ddof=1)) if len(known) > 1 else 0.0
        return start.model_copy(update={"mean": float(scaled.mean()), "sd": sd if sd > 0 else 1.0})

    def apply(self, values: Values) -> Values:
        """Transform measured values of any shape; NaN stays NaN.

        Raises:
            RunError: an infinite value, or one outside the domain of the logarithm.
        """
        if np.isinf(values).any():
            count = int(np.isinf(values).sum())
            raise RunError(f"marker '{self.marker}' has {count} infinite values; write NaN where nothing was measured")
        if self.transform == "unit_range":
            return (values - self.low) / ((self.high - self.low) or 1.0)
        if self.transform == "none":
            return values
        shifted = values + 1.0 if self.transform == "log10p1" else values
        bad = shifted <= 0
        if bad.any():
            bound, advice = (0, "choose transform: log10p1") if self.transform == "log10" else (-1, "transform: none")
            raise RunError(
                f"marker '{self.marker}': {self.transform} needs values > {bound}, found {int(bad.sum())} of "
                f"{bad.size} at or below it (smallest {np.nanmin(values):g}); {advice}"
            )
        return np.log10(shifted)
