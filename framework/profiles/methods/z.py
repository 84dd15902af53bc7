"""``z``: mean and standard deviation of the controls of a group."""

from __future__ import annotations

from typing import Literal

import numpy as np

from framework.profiles.methods.base import METHODS, Floats
from framework.profiles.methods.group_scaling import GroupScaling, ScalingOptions


class ZOptions(ScalingOptions):
    """Options of ``z``."""

    name: Literal["z"] = "z"


@METHODS.register("z", ZOptions)
class Z(GroupScaling[ZOptions]):
    """(value - mean) / standard deviation (n - 1) of the controls."""

    def zero(self, values: Floats) -> Floats:
        """Return the mean of rows (m, d), (d,)."""
        mean: Floats = values.mean(axis=0)
        return mean

    def middle(self, values: Floats) -> Floats:
        """Return the mean of rows (m, d), (d,)."""
        return self.zero(values)

    def spread(self, values: Floats) -> Floats:
        """Return the standard deviation (n - 1); of pooled rows the caller corrects for the means taken off."""
        ddof = 1 if len(values) > 1 else 0
        sd: Floats = np.std(values, axis=0, ddof=ddof)
        return sd
