"""``mad``: median and median absolute deviation of the controls of a group; few odd controls do not move them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from framework.profiles.methods.base import METHODS, Floats
from framework.profiles.methods.group_scaling import GroupScaling, ScalingOptions

_NORMAL = 1.4826
"""The MAD of a normal distribution times this is its standard deviation."""


class MadOptions(ScalingOptions):
    """Options of ``mad``."""

    name: Literal["mad"] = "mad"


@METHODS.register("mad", MadOptions)
class Mad(GroupScaling[MadOptions]):
    """(value - median) / (1.4826 MAD) of the controls."""

    def zero(self, values: Floats) -> Floats:
        """Return the median of rows (m, d), (d,)."""
        median: Floats = np.median(values, axis=0)
        return median

    def middle(self, values: Floats) -> Floats:
        """Return the median of rows (m, d), (d,)."""
        return self.zero(values)

    def spread(self, values: Floats) -> Floats:
        """Return 1.4826 times the median distance of rows (m, d) from their median, (d,)."""
        spread: Floats = _NORMAL * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
        return spread
