"""``plate_standardise``: by mean and sd of the whole dataset."""

from __future__ import annotations

from typing import Any, Literal

import torch

from framework.data.permutation import I64
from framework.data.scales.base import SCALES, Scale, ScaleConfig, plane
from framework.data.store import TileStore


class PlateStandardiseConfig(ScaleConfig):
    """``data.scale: plate_standardise``."""

    name: Literal["plate_standardise"] = "plate_standardise"


@SCALES.register("plate_standardise", PlateStandardiseConfig)
class PlateStandardise(Scale):
    """See the module."""

    needs = ("mean", "sd")

    @classmethod
    def measure(cls, options: PlateStandardiseConfig, store: TileStore, tile_ids: I64, seed: int) -> dict[str, Any]:
        """See ``Scale``."""
        statistics = [store.dataset.manifest.channel_statistics[channel] for channel in store.channels]
        # A constant channel keeps its scale instead of dividing by nothing.
        return {"mean": tuple(s.mean for s in statistics), "sd": tuple(s.sd or 1.0 for s in statistics)}

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        return x.sub_(plane(self.profile.mean, x)).div_(plane(self.profile.sd, x))
