"""ResNet-18 with global average pooling and dense layers: the network of Image2Omics (``mResNet18``).

Written here because torchvision is optional; its parameter names are kept inside the trunk, so its weights load.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from framework.models.base import BACKBONES, StridedConv2d, TileEncoder, dense_head
from framework.models.options import NetworkOptions


class ResNet18Config(NetworkOptions):
    """Options of ``resnet18``."""

    name: Literal["resnet18"] = "resnet18"
    dense: tuple[Annotated[int, Field(ge=1)], ...] = (1024, 128)
    """Sizes of the dense layers after the pooled trunk; empty: the trunk's 512 numbers are the embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before each dense layer; the paper does not state its rate."""
    width: int = Field(default=64, ge=1)
    """Channels of the first stage; the trunk gives 8 times as many numbers."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut. Source: He et al. 2016, Figure 2; names as torchvision's BasicBlock."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = StridedConv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, in, H, W) -> (n, out, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        out: torch.Tensor = self.relu(self.bn2(self.conv2(y)) + shortcut)
        return out


class ResNet18Trunk(nn.Module):
    """Stem 7x7 stride 2, max pooling, four stages of two blocks, global average pooling: (n, C, H, W) -> (n, 8 width).

    Source: He et al. 2016, Table 1; pooling for any tile size as in Image2Omics, Backbone Pre-training (i).
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = StridedConv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) float -> (n, 8 width)."""
        return self.maps(x).mean(dim=(-2, -1))

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) float -> (n, 8 width, H / 32, W / 32), what is pooled."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps: torch.Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps


def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(in_channels, out_channels, stride), ResidualBlock(out_channels, out_channels, 1))


@BACKBONES.register("resnet18", ResNet18Config)
def build_resnet18(config: ResNet18Config, in_channels: int) -> TileEncoder:
    """Return ResNet-18; with 3 channels and defaults 11,176,512 trunk and 656,512 head parameters."""
    trunk_width = 8 * config.width
    return TileEncoder(
        trunk=ResNet18Trunk(in_channels, config.width),
        head=dense_head(trunk_width, config.dense, config.dropout),
        trunk_width=trunk_width,
        width=config.dense[-1] if config.dense else trunk_width,
    )
