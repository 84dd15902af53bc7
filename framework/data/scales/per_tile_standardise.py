"""``per_tile_standardise``: each tile and channel to mean 0 and (population) sd 1."""

from __future__ import annotations

from typing import Literal

import torch

from framework.data.scales.base import SCALES, Scale, ScaleConfig, standardise_each


class PerTileStandardiseConfig(ScaleConfig):
    """``data.scale: per_tile_standardise``."""

    name: Literal["per_tile_standardise"] = "per_tile_standardise"


@SCALES.register("per_tile_standardise", PerTileStandardiseConfig)
class PerTileStandardise(Scale):
    """See the module."""

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        return standardise_each(x)
