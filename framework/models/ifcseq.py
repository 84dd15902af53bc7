"""The label-free residual CNN of IFC-seq (Figure 2): 17 convolutions and four poolings for small single-cell crops."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from framework.errors import RunError
from framework.models.base import BACKBONES, KERAS_BATCH_NORM, TileEncoder, dense_head, glorot_
from framework.models.options import NetworkOptions

_STAGES = (32, 64, 128)
_STEM = 16
_SMALLEST_TILE_PX = 16


class IfcSeqConfig(NetworkOptions):
    """Options of ``ifcseq_cnn``."""

    name: Literal["ifcseq_cnn"] = "ifcseq_cnn"
    dense: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Dense layers after the pooled trunk; the published network has none."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before each dense layer."""
    momentum: float = Field(default=0.01, gt=0.0, le=1.0)
    """Share of each batch in the running statistics of batch normalisation; 0.01 is published. They then describe the
    last few hundred steps: in a training of as few, 0.1 makes validation loss and predictions follow the weights."""


def _norm(channels: int, momentum: float) -> nn.BatchNorm2d:
    """Batch normalisation as in Keras: its momentum 0.99 is 0.01 here."""
    return nn.BatchNorm2d(channels, momentum=momentum, eps=KERAS_BATCH_NORM.eps)


class IfcSeqBlock(nn.Module):
    """conv - BN - ReLU - conv, add the input (through a 1x1 convolution when ``project``), BN, ReLU.

    Normalisation comes after the addition, unlike in ResNet, and the projection itself is not normalised.
    """

    def __init__(self, in_channels: int, out_channels: int, *, project: bool, momentum: float) -> None:
        super().__init__()
        self.project: nn.Module = nn.Conv2d(in_channels, out_channels, 1) if project else nn.Identity()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = _norm(out_channels, momentum)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = _norm(out_channels, momentum)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, in, H, W) -> (n, out, H, W)."""
        y = self.conv2(torch.relu(self.bn1(self.conv1(x))))
        return torch.relu(self.bn2(y + self.project(x)))


class IfcSeqTrunk(nn.Module):
    """Stem of 16 channels, then 32, 64, 128 with pooling, then the mean over space: (n, C, H, W) -> (n, 128)."""

    def __init__(self, in_channels: int, momentum: float = 0.01) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_channels
        for _ in range(2):
            layers += [nn.Conv2d(width, _STEM, 3, padding=1), _norm(_STEM, momentum), nn.ReLU()]
            width = _STEM
        layers.append(nn.MaxPool2d(2))
        for size in _STAGES:
            layers += [
                IfcSeqBlock(width, size, project=True, momentum=momentum),
                IfcSeqBlock(size, size, project=False, momentum=momentum),
                nn.MaxPool2d(2),
            ]
            width = size
        self.layers = nn.Sequential(*layers)
        glorot_(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) float, H and W >= 16 px -> (n, 128).

        Raises:
            RunError: tiles too small for four poolings.
        """
        if min(x.shape[-2:]) < _SMALLEST_TILE_PX:
            raise RunError(
                f"ifcseq_cnn pools four times and needs tiles of at least {_SMALLEST_TILE_PX} px, found "
                f"{x.shape[-2]} x {x.shape[-1]} px; ingest larger tiles or choose another backbone"
            )
        pooled: torch.Tensor = self.layers(x).mean(dim=(-2, -1))
        return pooled


@BACKBONES.register("ifcseq_cnn", IfcSeqConfig)
def build_ifcseq(config: IfcSeqConfig, in_channels: int) -> TileEncoder:
    """Return the IFC-seq CNN; 1 channel and 2 linear heads make 693,842 trainable parameters."""
    head = dense_head(_STAGES[-1], config.dense, config.dropout)
    glorot_(head)
    return TileEncoder(
        trunk=IfcSeqTrunk(in_channels, config.momentum),
        head=head,
        trunk_width=_STAGES[-1],
        width=config.dense[-1] if config.dense else _STAGES[-1],
    )
