"""``none``: float32 as stored."""

from __future__ import annotations

from typing import Literal

import torch

from framework.data.scales.base import SCALES, Scale, ScaleConfig


class NoScaleConfig(ScaleConfig):
    """``data.scale: none``."""

    name: Literal["none"] = "none"


@SCALES.register("none", NoScaleConfig)
class NoScale(Scale):
    """See the module."""

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        return x
