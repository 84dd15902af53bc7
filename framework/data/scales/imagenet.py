"""``imagenet``: what networks with weights of ImageNet expect, photographs in 0..1 less a mean, over a deviation."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field

from framework.data.permutation import I64
from framework.data.scales.base import SCALES, Scale, ScaleConfig, plane
from framework.data.scales.unit_range import range_of_dataset, to_unit
from framework.data.store import TileStore


class ImageNetConfig(ScaleConfig):
    """``data.scale: imagenet``."""

    name: Literal["imagenet"] = "imagenet"
    mean: float = Field(default=127 / 255, ge=0.0, le=1.0)
    """Taken off every channel, which lies in 0..1 by percentiles 0.1 to 99.9 of the dataset. 127/255 and 128/255 are
    those of EfficientNet-Lite; torchvision's networks have 0.449 and 0.226, the means over red, green and blue."""
    sd: float = Field(default=128 / 255, gt=0.0)
    """Every channel is divided by it."""


@SCALES.register("imagenet", ImageNetConfig)
class ImageNetScale(Scale):
    """See the module."""

    needs = ("mean", "sd", "low", "high")

    @classmethod
    def measure(cls, options: ImageNetConfig, store: TileStore, tile_ids: I64, seed: int) -> dict[str, Any]:
        """See ``Scale``."""
        number = len(store.channels)
        return {"mean": (options.mean,) * number, "sd": (options.sd,) * number, **range_of_dataset(store)}

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        unit = to_unit(x, self.profile)
        return unit.sub_(plane(self.profile.mean, x)).div_(plane(self.profile.sd, x))
