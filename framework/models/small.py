"""A few strided convolutions: trains in seconds on a laptop, for the demo, tests and first looks at new data."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from framework.models.base import BACKBONES, StridedConv2d, TileEncoder, dense_head
from framework.models.options import NetworkOptions

_LARGEST_GROUPS = 8


class SmallCnnConfig(NetworkOptions):
    """Options of ``small_cnn``."""

    name: Literal["small_cnn"] = "small_cnn"
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(16, 32, 64), min_length=1)
    """Channels of each 3x3 stride-2 convolution."""
    norm: Literal["batch", "group", "none"] = "batch"
    """``group`` and ``none`` treat every tile separately, so results do not depend on how a batch is divided among
    ranks."""
    dense: tuple[Annotated[int, Field(ge=1)], ...] = (64,)
    """Sizes of the dense layers after the pooled trunk; empty: the trunk's numbers are the embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before each dense layer."""


class SmallTrunk(nn.Module):
    """[conv 3x3 stride 2, norm, ReLU] per width, then the mean over space: (n, C, H, W) -> (n, last width)."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], norm: Literal["batch", "group", "none"]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_channels
        for size in widths:
            conv = StridedConv2d(width, size, 3, stride=2, padding=1, bias=norm == "none")
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            layers += [conv, _norm(norm, size), nn.ReLU(inplace=True)]
            width = size
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) float, any size -> (n, last width)."""
        pooled: torch.Tensor = self.layers(x).mean(dim=(-2, -1))
        return pooled


def _norm(kind: Literal["batch", "group", "none"], channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(next(g for g in range(_LARGEST_GROUPS, 0, -1) if channels % g == 0), channels)
    return nn.Identity()


@BACKBONES.register("small_cnn", SmallCnnConfig)
def build_small_cnn(config: SmallCnnConfig, in_channels: int) -> TileEncoder:
    """Return the small CNN."""
    return TileEncoder(
        trunk=SmallTrunk(in_channels, config.widths, config.norm),
        head=dense_head(config.widths[-1], config.dense, config.dropout),
        trunk_width=config.widths[-1],
        width=config.dense[-1] if config.dense else config.widths[-1],
    )
