"""Set attention: a learned query asks all tiles of a bag at once, with several heads.

Source: Lee et al. 2019 (Set Transformer), pooling by multihead attention: PMA_1(Z) = MAB(S, rFF(Z)), eq. 6, 7 and 11.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from framework.errors import ConfigError
from framework.models.pools.base import POOLS, BagPool, PoolOptions, attention_of, without_padding


class SetAttentionConfig(PoolOptions):
    """Options of ``set_attention``."""

    name: Literal["set_attention"] = "set_attention"
    heads: int = Field(default=4, ge=1)
    """Heads of the attention; the width of the vectors of tiles must be a multiple."""


class SetAttention(BagPool):
    """One learned query with several heads, then a dense layer; both with a residual and layer normalisation."""

    said: ClassVar[str] = "set attention"

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.seed = nn.Parameter(torch.empty(1, width))
        nn.init.xavier_uniform_(self.seed)
        self.before = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.joined = nn.Linear(width, width)
        self.first_norm = nn.LayerNorm(width)
        self.after = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width)

    def shares(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """See ``BagPool``; the mean over the heads."""
        seen = torch.relu(self.before(without_padding(embedded, weights)))
        return self._by_head(seen, weights).mean(dim=1)

    def forward(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """See ``BagPool``."""
        seen = torch.relu(self.before(without_padding(embedded, weights)))
        values = self.value(seen).unflatten(-1, (self.heads, -1))
        asked = torch.einsum("khn,knhd->khd", self._by_head(seen, weights), values).flatten(1)
        pooled = self.first_norm(self.seed + self.joined(asked))
        pooled = self.second_norm(pooled + torch.relu(self.after(pooled)))
        return pooled if weights is None else torch.where(weights.amax(dim=1, keepdim=True) > 0, pooled, 0.0)

    def _by_head(self, seen: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """(K, N, E) -> (K, heads, N), the attention of each head."""
        query = self.query(self.seed).unflatten(-1, (self.heads, -1))[0]
        keys = self.key(seen).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("hd,knhd->khn", query, keys) * query.shape[-1] ** -0.5
        return attention_of(scores, None if weights is None else weights[:, None])


@POOLS.register("set_attention", SetAttentionConfig)
def set_attention(options: SetAttentionConfig, width: int) -> SetAttention:
    """Return set attention over vectors of ``width``.

    Raises:
        ConfigError: a width that is not a multiple of the heads.
    """
    if width % options.heads:
        raise ConfigError(
            f"pool set_attention: expected heads that divide the width {width} of the vectors of tiles, found "
            f"{options.heads}; choose another number of heads"
        )
    return SetAttention(width, options.heads)
