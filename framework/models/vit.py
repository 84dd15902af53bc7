"""Vision transformer with fixed positions and a mean over patches, for tiles of any size.

Positions are sines and cosines of the place of a patch, so nothing has to be learned anew for tiles of another size,
and the mean over patches takes the place of a class token. Sources: Dosovitskiy et al. 2021 (the network; ViT-S is
width 384, depth 12, 6 heads, patches of 16 px); Beyer, Zhai and Kolesnikov 2022 (positions and mean).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from framework.models.base import BACKBONES, TileEncoder, dense_head
from framework.models.options import NetworkOptions

_TEMPERATURE = 10_000.0
"""Longest period of a position over the shortest. Source: Vaswani et al. 2017, section 3.5."""
_INITIAL_SD = 0.02
"""Of all linear layers, as in the networks that were published."""


class VitConfig(NetworkOptions):
    """Options of ``vit``; the defaults are ViT-S/16."""

    name: Literal["vit"] = "vit"
    patch_px: int = Field(default=16, ge=1)
    """Edge of a patch. Tiles whose height or width is not a multiple of it get a border of zeros, so choose a divisor;
    small tiles want small patches: 8 for 64 px."""
    width: int = Field(default=384, ge=4)
    """Numbers per patch; a multiple of 4 and of ``heads``."""
    depth: int = Field(default=12, ge=1)
    """Blocks of attention and dense layers."""
    heads: int = Field(default=6, ge=1)
    """Heads of attention per block."""
    mlp_ratio: float = Field(default=4.0, gt=0)
    """Width of a block's dense layer over ``width``."""
    dense: tuple[Annotated[int, Field(ge=1)], ...] = (384, 128)
    """Sizes of the dense layers after the mean over patches; empty: that mean is the embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before each dense layer."""

    @model_validator(mode="after")
    def _widths_divide(self) -> Self:
        if self.width % 4:
            raise ValueError(f"width: expected a multiple of 4, for two sines and two cosines, found {self.width}")
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width ({self.width}), found {self.heads}")
        return self


class Attention(nn.Module):
    """Self-attention of several heads. Source: Vaswani et al. 2017, eq. 1 and section 3.2.2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, P, width) -> the same shape."""
        n, patches, width = x.shape
        query, key, value = self.qkv(x).view(n, patches, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(n, patches, width))
        return out


class Block(nn.Module):
    """Attention and two dense layers, each normalised before and added to what came in."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, P, width) -> the same shape."""
        x = x + self.attn(self.norm1(x))
        out: torch.Tensor = x + self.mlp(self.norm2(x))
        return out


class VitTrunk(nn.Module):
    """Patches, positions, blocks, a last normalisation and the mean over patches: (n, C, H, W) -> (n, width)."""

    def __init__(self, in_channels: int, config: VitConfig) -> None:
        super().__init__()
        self.patch_px = config.patch_px
        self.patches = nn.Conv2d(in_channels, config.width, config.patch_px, stride=config.patch_px)
        hidden = max(1, round(config.width * config.mlp_ratio))
        self.blocks = nn.Sequential(*(Block(config.width, config.heads, hidden) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(layer.weight, std=_INITIAL_SD)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) float -> (n, width); tiles that patches do not divide are seen with a border of zeros."""
        lacks_y, lacks_x = (-size % self.patch_px for size in x.shape[-2:])
        if lacks_y or lacks_x:
            x = functional.pad(x, (lacks_x // 2, lacks_x - lacks_x // 2, lacks_y // 2, lacks_y - lacks_y // 2))
        maps = self.patches(x)
        rows, columns = maps.shape[-2:]
        tokens = maps.flatten(2).transpose(1, 2)
        tokens = tokens + positions(rows, columns, tokens.shape[-1], tokens.device).to(tokens.dtype)
        pooled: torch.Tensor = self.norm(self.blocks(tokens)).mean(dim=1)
        return pooled


def positions(rows: int, columns: int, width: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return what is added to each patch: sines and cosines of its column, then of its row.

    Args:
        rows, columns: of patches.
        width: numbers per patch, a multiple of 4.
        device: device of the result.

    Returns:
        (rows * columns, width) float32 in [-1, 1], row by row.
    """
    each = width // 4
    rate = _TEMPERATURE ** (-torch.arange(each, device=device) / max(1, each - 1))
    row, column = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    angles = [place.flatten()[:, None] * rate for place in (column, row)]
    return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)


@BACKBONES.register("vit", VitConfig)
def build_vit(config: VitConfig, in_channels: int) -> TileEncoder:
    """Return the vision transformer."""
    return TileEncoder(
        trunk=VitTrunk(in_channels, config),
        head=dense_head(config.width, config.dense, config.dropout),
        trunk_width=config.width,
        width=config.dense[-1] if config.dense else config.width,
    )
