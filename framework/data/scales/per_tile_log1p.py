"""``per_tile_log1p``: log(1 + x), then each tile and channel to mean 0 and (population) sd 1."""

from __future__ import annotations

from typing import Literal

import torch

from framework.data.scales.base import SCALES, Scale, ScaleConfig, standardise_each


class PerTileLog1pConfig(ScaleConfig):
    """``data.scale: per_tile_log1p``."""

    name: Literal["per_tile_log1p"] = "per_tile_log1p"


@SCALES.register("per_tile_log1p", PerTileLog1pConfig)
class PerTileLog1p(Scale):
    """See the module."""

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        return standardise_each(x.log1p_())
