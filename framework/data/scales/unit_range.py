"""``unit_range``: percentiles 0.1 to 99.9 of the whole dataset to 0..1, clipped."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch

from framework.data.permutation import I64
from framework.data.scales.base import SCALES, Scale, ScaleConfig, plane
from framework.data.store import TileStore


class UnitRangeConfig(ScaleConfig):
    """``data.scale: unit_range``."""

    gives_unit: ClassVar[bool] = True
    name: Literal["unit_range"] = "unit_range"


@SCALES.register("unit_range", UnitRangeConfig)
class UnitRange(Scale):
    """See the module."""

    needs = ("low", "high")

    @classmethod
    def measure(cls, options: UnitRangeConfig, store: TileStore, tile_ids: I64, seed: int) -> dict[str, Any]:
        """See ``Scale``."""
        statistics = [store.dataset.manifest.channel_statistics[channel] for channel in store.channels]
        low = tuple(s.percentiles["0.1"] for s in statistics)
        high = tuple(max(s.percentiles["99.9"], s.percentiles["0.1"] + 1) for s in statistics)
        return {"low": low, "high": high}

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        low = plane(self.profile.low, x)
        return x.sub_(low).div_(plane(self.profile.high, x) - low).clamp_(0, 1)
