"""Networks that paint protein channels: paired cell inpainting, and the autoencoder it is compared with.

A source cell (all channels) -> maps at a quarter of its resolution; the structure channels of a target cell -> maps of
the same size; both together -> the decoder -> the protein channels of the target. Source: Lu et al. 2019, Figure 1C.

Batch normalisation has the constants of the authors' code, which are Keras' (eps 1e-3, momentum 0.99, that is 0.01 in
torch): 70 % of the first layer's maps have a variance below 1e-3, so eps sets their scale.

No initialisation is published; these networks start as Keras layers do, with which the authors built theirs: Glorot
uniform weights, zero biases (Glorot and Bengio 2010, eq. 16). The ResNet source keeps He's (He et al. 2015, eq. 10).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import torch
from pydantic import Field
from torch import nn

from framework.config import StrictModel, choice
from framework.models.base import KERAS_BATCH_NORM, BatchNormConstants, glorot_
from framework.models.options import NetworkOptions
from framework.models.resnet import ResNet18Trunk
from framework.registry import Registry

REDUCTION = 4
"""Pixels of a tile, along one side, for one of the maps that encoders give."""

Width: TypeAlias = Annotated[int, Field(ge=1)]
DecoderWidths: TypeAlias = tuple[Width, Width, Width, Width, Width]
DECODER_WIDTHS: DecoderWidths = (256, 384, 384, 256, 96)
MARKER_WIDTHS = (16, 32, 32)

SOURCE_ENCODERS: Registry[Callable[[Any, int], SourceEncoder]] = Registry("source encoder")

if TYPE_CHECKING:
    SourceChoice: TypeAlias = StrictModel
else:
    SourceChoice = choice(SOURCE_ENCODERS)
    """Annotation of a config field that holds one source encoder's options."""


class SourceEncoder(nn.Module):
    """Base class of source encoders: (n, C, H, W) -> (n, width, H / 4, W / 4), H and W multiples of 4."""

    width: int


class ConvEncoder(SourceEncoder):
    """3x3 convolutions ``conv1``, ``conv2`` ..., each with its ReLU inside, batch normalisation after the ReLU.

    Max pooling 2x2 follows the first two. So the output of the module ``conv4`` is what the paper takes as features of
    layer 4: after the ReLU, before the normalisation.

    Args:
        in_channels: C.
        widths: maps of each convolution; at least two.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.width = widths[-1]
        self._depth = len(widths)
        for number, (inner, outer) in enumerate(zip((in_channels, *widths), widths, strict=False), start=1):
            self.add_module(f"conv{number}", _convolution(inner, outer))
            self.add_module(f"bn{number}", nn.BatchNorm2d(outer))
        self.pool = nn.MaxPool2d(2)
        KERAS_BATCH_NORM.set_in_(self)
        glorot_(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> (n, width, H / 4, W / 4)."""
        for number in range(1, self._depth + 1):
            x = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(x))
            if number <= 2:
                x = self.pool(x)
        return x


class AlexNetSourceConfig(NetworkOptions):
    """Options of ``alexnet``, the source encoder of the paper."""

    name: Literal["alexnet"] = "alexnet"
    widths: tuple[Width, Width, Width, Width, Width] = (96, 256, 384, 384, 256)
    """Number of maps of conv1 to conv5."""


class ResNet18SourceConfig(NetworkOptions):
    """Options of ``resnet18``: the skip connections that the paper's outlook asks for."""

    name: Literal["resnet18"] = "resnet18"
    width: int = Field(default=64, ge=1)
    """Channels of the first stage; the last gives 8 times as many maps."""


class ResNet18Source(ResNet18Trunk, SourceEncoder):
    """ResNet-18 without its mean over space; its maps (a 32nd of the resolution) are repeated to a quarter."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__(in_channels, width)
        self.width = 8 * width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> (n, width, H / 4, W / 4)."""
        size = (x.shape[-2] // REDUCTION, x.shape[-1] // REDUCTION)
        return nn.functional.interpolate(self.maps(x), size=size, mode="nearest")


@SOURCE_ENCODERS.register("alexnet", AlexNetSourceConfig)
def build_alexnet_source(config: AlexNetSourceConfig, in_channels: int) -> SourceEncoder:
    """Return the source encoder of the paper; its layers are ``conv1`` to ``conv5``."""
    return ConvEncoder(in_channels, config.widths)


@SOURCE_ENCODERS.register("resnet18", ResNet18SourceConfig)
def build_resnet18_source(config: ResNet18SourceConfig, in_channels: int) -> SourceEncoder:
    """Return ResNet-18 as a source encoder; its layers are ``layer1`` to ``layer4``."""
    return ResNet18Source(in_channels, config.width)


def build_source(config: StrictModel, in_channels: int) -> SourceEncoder:
    """Build the source encoder that ``config.name`` names, for tiles of ``in_channels`` channels.

    Raises:
        RegistryError: no source encoder has that name.
    """
    return SOURCE_ENCODERS.get(str(getattr(config, "name", None))).build(config, in_channels)


class Decoder(nn.Sequential):
    """Three convolutions, twice (repeat each pixel 2x2, convolution), then 1x1 to the channels, linear; no BN.

    (n, in_width, H / 4, W / 4) -> (n, channels, H, W).
    """

    def __init__(self, in_width: int, channels: int, widths: DecoderWidths = DECODER_WIDTHS) -> None:
        a, b, c, d, e = widths
        super().__init__(
            _convolution(in_width, a),
            _convolution(a, b),
            _convolution(b, c),
            nn.Upsample(scale_factor=2, mode="nearest"),
            _convolution(c, d),
            nn.Upsample(scale_factor=2, mode="nearest"),
            _convolution(d, e),
            nn.Conv2d(e, channels, 1),
        )
        glorot_(self)


class InpaintingNet(nn.Module):
    """Paints the protein of a target cell after a source cell; 7,324,529 numbers with 3 source and 2 target channels.

    That counts batch-norm statistics; with 2 and 1 channels 7,323,521.

    Args:
        source: options of the source encoder.
        source_channels: channels of the source cell it sees.
        structure_channels: channels of the target cell it is given.
        protein_channels: channels it predicts.
        marker_widths: maps of the target-marker encoder's three convolutions.
        decoder_widths: maps of the decoder's five.
        norm: constants of batch normalisation in both encoders.
    """

    def __init__(
        self,
        source: StrictModel,
        source_channels: int,
        structure_channels: int,
        protein_channels: int,
        *,
        marker_widths: tuple[int, int, int] = MARKER_WIDTHS,
        decoder_widths: DecoderWidths = DECODER_WIDTHS,
        norm: BatchNormConstants = KERAS_BATCH_NORM,
    ) -> None:
        super().__init__()
        self.source = build_source(source, source_channels)
        self.markers = ConvEncoder(structure_channels, marker_widths)
        self.decoder = Decoder(self.source.width + marker_widths[-1], protein_channels, decoder_widths)
        norm.set_in_(self)

    def forward(self, source: torch.Tensor, structure: torch.Tensor) -> torch.Tensor:
        """Source cells (n, C, H, W) and structure channels of targets (n, S, H, W) -> proteins (n, P, H, W)."""
        painted: torch.Tensor = self.decoder(torch.cat([self.source(source), self.markers(structure)], dim=1))
        return painted


class AutoencoderNet(nn.Module):
    """The baseline of the paper: the same source encoder, and the same decoder back to all channels of that cell."""

    def __init__(
        self,
        source: StrictModel,
        channels: int,
        *,
        decoder_widths: DecoderWidths = DECODER_WIDTHS,
        norm: BatchNormConstants = KERAS_BATCH_NORM,
    ) -> None:
        super().__init__()
        self.source = build_source(source, channels)
        self.decoder = Decoder(self.source.width, channels, decoder_widths)
        norm.set_in_(self)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> (n, C, H, W)."""
        painted: torch.Tensor = self.decoder(self.source(cells))
        return painted


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True))
