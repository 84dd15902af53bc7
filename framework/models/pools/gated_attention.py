"""Gated attention: a small network gives each tile a score of its own, and the bag is the mean weighted by them.

Source: Ilse, Tomczak and Welling 2018, eq. 7 and 9.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from framework.models.pools.base import POOLS, BagPool, PoolOptions, attention_of, sum_over_tiles, without_padding


class GatedAttentionConfig(PoolOptions):
    """Options of ``gated_attention``."""

    name: Literal["gated_attention"] = "gated_attention"
    hidden: int = Field(default=128, ge=1)
    """Width of the network that scores a tile."""


class AttentionConfig(PoolOptions):
    """``attention``: the name under which runs had gated attention of 128 before pools had options."""

    name: Literal["attention"] = "attention"


class GatedAttention(BagPool):
    """Weighted mean whose weights a small gated network computes from each tile."""

    said: ClassVar[str] = "gated attention"

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.tanh_gate = nn.Linear(width, hidden)
        self.sigmoid_gate = nn.Linear(width, hidden)
        self.score = nn.Linear(hidden, 1)

    def shares(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """See ``BagPool``."""
        gated = torch.tanh(self.tanh_gate(embedded)) * torch.sigmoid(self.sigmoid_gate(embedded))
        return attention_of(self.score(gated).squeeze(-1), weights)

    def forward(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """See ``BagPool``."""
        embedded = without_padding(embedded, weights)
        return sum_over_tiles(embedded, self.shares(embedded, weights))


@POOLS.register("gated_attention", GatedAttentionConfig)
def gated_attention(options: GatedAttentionConfig, width: int) -> GatedAttention:
    """Return gated attention over vectors of ``width``."""
    return GatedAttention(width, options.hidden)


@POOLS.register("attention", AttentionConfig)
def attention(options: AttentionConfig, width: int) -> GatedAttention:
    """Return gated attention as runs had it before pools had options."""
    return GatedAttention(width)
