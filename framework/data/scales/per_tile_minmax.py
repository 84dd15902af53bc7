"""``per_tile_minmax``: each tile and channel to 0..1, darkest to brightest pixel; 0 where all are alike."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from framework.data.scales.base import SCALES, Scale, ScaleConfig


class PerTileMinmaxConfig(ScaleConfig):
    """``data.scale: per_tile_minmax``."""

    gives_unit: ClassVar[bool] = True
    name: Literal["per_tile_minmax"] = "per_tile_minmax"


@SCALES.register("per_tile_minmax", PerTileMinmaxConfig)
class PerTileMinmax(Scale):
    """See the module."""

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        low, high = x.amin(dim=(-2, -1), keepdim=True), x.amax(dim=(-2, -1), keepdim=True)
        # A flat tile keeps its zeros. Division, not a product with the inverse: the brightest pixel is exactly 1.
        return x.sub_(low).div_(torch.where(high > low, high - low, 1.0))
