"""``intensity``: how bright each channel is: mean, sd and three quantiles."""

from __future__ import annotations

from typing import Literal

import numpy as np

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, Floats
from framework.baselines.rows import Rows
from framework.features.classic import intensity


class IntensityConfig(BaselineConfig):
    """Options of ``intensity``: none."""

    name: Literal["intensity"] = "intensity"


@BASELINES.register("intensity", IntensityConfig)
class Intensity(Baseline):
    """See the module."""

    says = "brightness of each channel"

    def features(self, rows: Rows) -> Floats:
        """Return five statistics per channel, as they are and as logarithms, (n, 10 C)."""
        parts = []
        for tiles in rows.pixels():
            values = intensity(tiles)
            parts.append(np.concatenate([values, np.log1p(np.maximum(values, 0.0))], axis=1))
        width = 10 * len(rows.seen_channels)
        return rows.averaged(np.concatenate([np.empty((0, width)), *parts]))
