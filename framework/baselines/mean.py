"""``mean``: the mean of the training rows, which knows nothing of a row."""

from __future__ import annotations

from typing import Literal

import numpy as np

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, Floats
from framework.baselines.rows import Rows


class MeanConfig(BaselineConfig):
    """Options of ``mean``: none."""

    name: Literal["mean"] = "mean"


@BASELINES.register("mean", MeanConfig)
class Mean(Baseline):
    """See the module."""

    says = "mean of the training rows"

    def features(self, rows: Rows) -> Floats:
        """Return (n, 0)."""
        return np.empty((len(rows), 0))
