"""``unit_range``: percentiles 0.1 to 99.9 of the whole dataset to 0..1, clipped."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch

from framework.data.permutation import I64
from framework.data.scales.base import SCALES, Scale, ScaleConfig, ScaleProfile, plane
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
        return range_of_dataset(store)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        return to_unit(x, self.profile)


def range_of_dataset(store: TileStore) -> dict[str, Any]:
    """Return ``low`` and ``high`` of a profile: percentiles 0.1 and 99.9 of the channels, at least 1 apart."""
    statistics = [store.dataset.manifest.channel_statistics[channel] for channel in store.channels]
    low = tuple(s.percentiles["0.1"] for s in statistics)
    high = tuple(max(s.percentiles["99.9"], s.percentiles["0.1"] + 1) for s in statistics)
    return {"low": low, "high": high}


def to_unit(x: torch.Tensor, profile: ScaleProfile) -> torch.Tensor:
    """Bring pixels (..., C, H, W) to 0..1 by the range of a profile, in place."""
    low = plane(profile.low, x)
    return x.sub_(low).div_(plane(profile.high, x) - low).clamp_(0, 1)
