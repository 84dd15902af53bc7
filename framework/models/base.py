"""What every backbone is: a trunk that sees pixels and a head of dense layers, so that a bag can be averaged between.

One tile flows (C, H, W) -> trunk -> (T,) -> head -> (D,). The two halves are separate modules because the published
order of "mean over the tiles of a well" and "dense layers" differs between the paper and its code.

Here is also what several backbones are built of: dense layers, and convolutions with a stride.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from framework.config import StrictModel, choice
from framework.registry import Registry

Build: TypeAlias = Callable[[Any, int], "TileEncoder"]

BACKBONES: Registry[Build] = Registry("backbone")

if TYPE_CHECKING:
    BackboneChoice: TypeAlias = StrictModel
else:
    BackboneChoice = choice(BACKBONES)
    """Annotation of a config field that holds one backbone's options."""


class TileEncoder(nn.Module):
    """Trunk and head of one backbone.

    Attributes:
        trunk: (n, C, H, W) float -> (n, T).
        head: (..., T) -> (..., D); dense layers with ReLU only between them, so the embedding may be negative.
        trunk_width: T.
        width: D.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, trunk_width: int, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.trunk_width = trunk_width
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> (n, D)."""
        embedding: torch.Tensor = self.head(self.trunk(x))
        return embedding


def build_backbone(config: StrictModel, in_channels: int) -> TileEncoder:
    """Build the backbone that ``config.name`` names.

    Args:
        config: options of one entry of ``BACKBONES``.
        in_channels: C >= 1 of the tiles it will see.

    Raises:
        RegistryError: no backbone has that name.
    """
    return BACKBONES.get(str(getattr(config, "name", None))).build(config, in_channels)


def dense_head(in_width: int, dense: Sequence[int], dropout: float) -> nn.Sequential:
    """Return ``Dropout, Linear`` per layer with ReLU between layers; nothing at all when ``dense`` is empty.

    Dropout of rate 0 keeps its place, so parameter names do not depend on the rate: ``1`` and ``4`` for two layers, the
    names of the published Image2Omics checkpoints below ``head.module``.
    """
    layers: list[nn.Module] = []
    width = in_width
    for position, size in enumerate(dense):
        if position:
            layers.append(nn.ReLU())
        layers += [nn.Dropout(dropout), nn.Linear(width, size)]
        width = size
    return nn.Sequential(*layers)


def glorot_(module: nn.Module) -> None:
    """Initialise every convolution and dense layer inside as Keras does: Glorot uniform weights, zero biases.

    Source: Glorot and Bengio 2010, eq. 16.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class BatchNormConstants(StrictModel):
    """The two constants of batch normalisation; the defaults are those of Keras, which published networks were built
    with.

    They change results: where most maps have a variance below ``eps``, it is ``eps`` that sets their scale.
    """

    eps: float = Field(default=1e-3, gt=0.0)
    """Added to the variance before the square root. Keras: 1e-3; torch: 1e-5."""
    momentum: float = Field(default=0.01, gt=0.0, le=1.0)
    """Share of each batch in the running statistics. Keras' momentum of 0.99 is 0.01 here; torch uses 0.1."""

    def set_in_(self, module: nn.Module) -> None:
        """Give every batch normalisation inside ``module`` these constants."""
        for layer in module.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.eps, layer.momentum = self.eps, self.momentum


KERAS_BATCH_NORM = BatchNormConstants()


class StridedConv2d(nn.Conv2d):
    """A convolution with a stride whose gradient is right for maps of any size.

    It has no dilation and no groups, and at most half a kernel of padding.

    Where a map has one pixel, a kernel of 3 x 3 with padding 1 meets it with its middle alone; the true gradient of all
    else is 0. On a CPU in 16 bits, oneDNN leaves that memory as it was. There, only what meets pixels is multiplied.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(n, in, H, W) -> (n, out, H', W'), as ``nn.Conv2d``."""
        if not _is_short_on_a_cpu(input):
            return super().forward(input)
        rows, columns = (self._met(axis, size) for axis, size in enumerate(input.shape[-2:]))
        if rows.is_all and columns.is_all and not (rows.is_one or columns.is_one):
            return super().forward(input)
        weight = self.weight[:, :, rows.first : rows.last + 1, columns.first : columns.last + 1]
        padded = functional.pad(input, (columns.before, columns.after, rows.before, rows.after))
        # Where a kernel lies at one place alone, any stride gives the same, and oneDNN is right with 1.
        stride = (1 if rows.is_one else self.stride[0], 1 if columns.is_one else self.stride[1])
        return functional.conv2d(padded, weight, self.bias, stride)

    def _met(self, axis: int, size: int) -> _Met:
        kernel, stride, padding = self.kernel_size[axis], self.stride[axis], int(self.padding[axis])
        places = range(-padding, size + padding - kernel + 1, stride)
        met = [at for at in range(kernel) if any(0 <= place + at < size for place in places)]
        first, last = met[0], met[-1]
        after = places[-1] + last + 1 - size
        return _Met(
            first=first,
            last=last,
            before=padding - first,
            after=after,
            is_all=len(met) == kernel,
            is_one=len(places) == 1,
        )


@dataclass(frozen=True, kw_only=True)
class _Met:
    """Which rows (or columns) of a kernel meet pixels, and the padding with which these alone give the same.

    Attributes:
        first: first row that does.
        last: last row that does.
        before: padding before the map; negative where its first pixels meet nothing.
        after: padding behind it, likewise.
        is_all: whether all rows do.
        is_one: whether the kernel lies at one place.
    """

    first: int
    last: int
    before: int
    after: int
    is_all: bool
    is_one: bool


def _is_short_on_a_cpu(values: torch.Tensor) -> bool:
    """Whether a convolution of ``values`` computes in 16 bits on a CPU."""
    if values.device.type != "cpu":
        return False
    return torch.is_autocast_enabled("cpu") or values.dtype in (torch.bfloat16, torch.float16)
