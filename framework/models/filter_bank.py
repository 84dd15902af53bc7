"""A bank of fixed filters, averaged over rings around the centre of a tile: a backbone that has nothing to learn.

A few hundred cells are too few to learn millions of weights from. These filters measure what is usually said of
nuclei (brightness, blobs, edges, elongation, texture, at scales from one pixel to a nucleus). Each is averaged over
rings around the cell, with its spread in the ring: the inner rings describe the nucleus, the outer ones its neighbours.
A tile that is mirrored or turned by a quarter gives the same numbers. The dense layers behind the bank learn.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from framework.models.base import BACKBONES, TileEncoder, dense_head
from framework.models.options import NetworkOptions

_SIGMAS = (1.0, 1.5)
"""Widths of the two Gaussians, in pixels of an octave."""
_TRUNCATE = 4
"""Gaussians end after so many widths."""
_MAPS = 9
"""Maps per channel and octave: see ``FilterBank``."""
_MARGIN = 8
"""Pixels beyond what an octave sees, so that filters at its border see the tile and not its end."""
_LEAST_VARIANCE, _LEAST_SUM = 1e-12, 1e-6


class FilterBankConfig(NetworkOptions):
    """Options of ``filter_bank``."""

    name: Literal["filter_bank"] = "filter_bank"
    octaves: int = Field(default=4, ge=1, le=8)
    """Number of scales: filters act at widths of 1, 2, 4, ... pixels, on tiles that are halved each time."""
    seen_px: int = Field(default=64, ge=8)
    """Edge of the square around the centre that an octave uses, in its own pixels: 64 px of the tile at full
    resolution, 128 at half, 256 at a quarter. So what is far from the cell is seen at low resolution, at no extra
    cost."""
    rings_px: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        default=(0, 3, 6, 9, 12, 16, 22, 32, 48, 72, 110, 160), min_length=2
    )
    """Edges of the rings, in pixels of the tile from its centre. An octave uses the rings that end inside its square; a
    ring outside the tile is empty."""
    dense: tuple[Annotated[int, Field(ge=1)], ...] = (256,)
    """Sizes of the dense layers after the bank; empty: the averages are the embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before each dense layer."""

    @model_validator(mode="after")
    def _edges_grow(self) -> FilterBankConfig:
        if any(high <= low for low, high in pairwise(self.rings_px)):
            raise ValueError(f"rings_px: edges must grow, found {', '.join(f'{edge:g}' for edge in self.rings_px)}")
        if self.rings_px[1] > self.seen_px / 2:
            raise ValueError(
                f"seen_px: {self.seen_px} px are too few for a ring; the first ring ends at {self.rings_px[1]:g} px"
            )
        return self


class FilterBank(nn.Module):
    """Filters, rings, batch normalisation without weights: (n, C, H, W) -> (n, T), T = C x rings of all octaves x 18.

    Maps of an octave, with G a Gaussian of 1 px and W one of 1.5 px: the pixels; W; the positive and the negative part
    of the Laplacian of each Gaussian, times its variance; the gradient of G; the difference of the eigenvalues of W's
    Hessian; the standard deviation under W. Each gives mean and standard deviation over each ring.
    """

    def __init__(self, in_channels: int, config: FilterBankConfig) -> None:
        super().__init__()
        self.octaves, self.seen_px, edges = config.octaves, config.seen_px, config.rings_px
        rings = list(pairwise(edges))
        self.rings = [
            [(low, high) for low, high in rings if high <= config.seen_px / 2 * 2**octave]
            for octave in range(config.octaves)
        ]
        self.width = in_channels * _MAPS * 2 * sum(map(len, self.rings))
        for number, sigma in enumerate(_SIGMAS):
            reach = int(_TRUNCATE * sigma + 0.5)
            kernel = torch.exp(-torch.arange(-reach, reach + 1, dtype=torch.float64).square() / (2 * sigma**2))
            self.register_buffer(f"gaussian_{number}", (kernel / kernel.sum()).float(), persistent=False)
        self.standard = nn.BatchNorm1d(self.width, affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) float, any size -> (n, T) with mean 0 and variance 1 over training tiles."""
        n, channels = x.shape[:2]
        plane, found = x.reshape(n * channels, 1, *x.shape[2:]), []
        for octave in range(self.octaves):
            if octave:
                plane = functional.avg_pool2d(plane, 2, ceil_mode=True)
            seen = _middle(plane, self.seen_px + 2 * _MARGIN)
            maps = _middle(self._maps(seen), self.seen_px)
            found.append(_averaged(maps, self._weights(octave, maps)).reshape(n, channels, -1))
        standard: torch.Tensor = self.standard(torch.cat(found, dim=2).flatten(1))
        return standard

    def _maps(self, plane: torch.Tensor) -> torch.Tensor:
        """(m, 1, h, w) -> (m, 9, h, w)."""
        narrow, wide = (self._blurred(plane, number) for number in range(len(_SIGMAS)))
        blobs = [_laplacian(each) * sigma**2 for each, sigma in zip((narrow, wide), _SIGMAS, strict=True)]
        along_y, along_x = _difference(narrow, 2), _difference(narrow, 3)
        yy, xx = _second(wide, 2), _second(wide, 3)
        xy = _difference(_difference(wide, 2), 3)
        variance = self._blurred(plane.square(), 1) - wide.square()
        maps = [
            plane,
            wide,
            *(part.relu() for blob in blobs for part in (blob, -blob)),
            _root(along_y.square() + along_x.square()),
            _root((yy - xx).square() + 4 * xy.square()),
            _root(variance.relu()),
        ]
        return torch.cat(maps, dim=1)

    def _blurred(self, plane: torch.Tensor, number: int) -> torch.Tensor:
        kernel: torch.Tensor = getattr(self, f"gaussian_{number}").to(plane.dtype)
        reach = len(kernel) // 2
        padded = functional.pad(plane, (reach, reach, reach, reach), mode="replicate")
        return functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))

    def _weights(self, octave: int, maps: torch.Tensor) -> torch.Tensor:
        """(R, h x w), the share of each pixel in each ring of an octave; 0 in a ring that is empty."""
        y, x = (
            (torch.arange(edge, device=maps.device, dtype=torch.float64) - (edge - 1) / 2) * 2**octave
            for edge in maps.shape[2:]
        )
        radius = torch.hypot(y[:, None], x[None]).flatten()
        rings = torch.stack([self._share(radius, low, high, 2**octave) for low, high in self.rings[octave]])
        return (rings / rings.sum(dim=1, keepdim=True).clamp(min=_LEAST_SUM)).to(maps.dtype)

    @staticmethod
    def _share(radius: torch.Tensor, low: float, high: float, pixel: int) -> torch.Tensor:
        """Return 1 inside a ring and 0 outside, with edges as wide as a pixel, so that no ring falls between pixels."""
        outer = ((high - radius) / pixel + 0.5).clamp(0, 1)
        inner = ((low - radius) / pixel + 0.5).clamp(0, 1) if low > 0 else torch.zeros_like(radius)
        return outer - inner


def _middle(plane: torch.Tensor, edge: int) -> torch.Tensor:
    """Return the middle of (n, m, h, w), at most ``edge`` pixels high and wide."""
    height, width = plane.shape[2:]
    top, left = max(height - edge, 0) // 2, max(width - edge, 0) // 2
    return plane[:, :, top : top + edge, left : left + edge]


def _averaged(maps: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(m, 9, h, w), (R, h x w) -> (m, 9, R, 2): mean and standard deviation over each ring."""
    flat = maps.flatten(2)
    mean = flat @ weights.T
    spread = _root((flat.square() @ weights.T - mean.square()).relu())
    return torch.stack([mean, spread], dim=-1)


def _root(squares: torch.Tensor) -> torch.Tensor:
    """Return the square root, whose gradient is finite at 0 too."""
    return (squares + _LEAST_VARIANCE).sqrt()


def _difference(plane: torch.Tensor, axis: int) -> torch.Tensor:
    """Return half the difference of the neighbours along an axis; at a border the pixel stands for what is beyond."""
    ahead, behind = _neighbours(plane, axis)
    return (ahead - behind) / 2


def _second(plane: torch.Tensor, axis: int) -> torch.Tensor:
    ahead, behind = _neighbours(plane, axis)
    return ahead - 2 * plane + behind


def _laplacian(plane: torch.Tensor) -> torch.Tensor:
    return _second(plane, 2) + _second(plane, 3)


def _neighbours(plane: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    size = plane.shape[axis]
    first, last = plane.narrow(axis, 0, 1), plane.narrow(axis, size - 1, 1)
    ahead = torch.cat([plane.narrow(axis, 1, size - 1), last], dim=axis)
    return ahead, torch.cat([first, plane.narrow(axis, 0, size - 1)], dim=axis)


@BACKBONES.register("filter_bank", FilterBankConfig)
def build_filter_bank(config: FilterBankConfig, in_channels: int) -> TileEncoder:
    """Return the bank with its dense layers."""
    bank = FilterBank(in_channels, config)
    return TileEncoder(
        trunk=bank,
        head=dense_head(bank.width, config.dense, config.dropout),
        trunk_width=bank.width,
        width=config.dense[-1] if config.dense else bank.width,
    )
