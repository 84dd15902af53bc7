"""A bag of tiles -> one vector, in the order of the paper or of its code."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import nn

from framework.models.base import TileEncoder
from framework.models.pools import PoolOptions, build_pool, pool_options
from framework.models.recompute import in_chunks

Aggregate: TypeAlias = Literal["tile_embedding", "backbone"]


class BagEncoder(nn.Module):
    """Embeds tiles and pools them.

    Two orders, not equivalent because a ReLU lies between the dense layers:

    - ``tile_embedding`` (the Image2Omics paper): trunk and dense layers per tile, then the mean: E = D.
    - ``backbone`` (the authors' code): trunk per tile, mean, then the dense layers once: E = T.

    Args:
        encoder: the backbone.
        aggregate: which of the two orders.
        l2_normalise: scale the pooled vector to length 1 (FaceNet does, the authors' code does not).
        pool: how the N vectors of width E become one: options of an entry of ``POOLS``, or its name.
        tile_chunk: with gradients, run so many tiles at a time and recompute them in backward (gradient caching);
            None: all tiles at once.
        no_grad_chunk: without gradients, tiles at a time; bounds memory and changes nothing else.
    """

    def __init__(
        self,
        encoder: TileEncoder,
        *,
        aggregate: Aggregate = "tile_embedding",
        l2_normalise: bool = False,
        pool: PoolOptions | str = "mean",
        tile_chunk: int | None = None,
        no_grad_chunk: int = 256,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.aggregate: Aggregate = aggregate
        self.l2_normalise = l2_normalise
        self.tile_chunk = tile_chunk
        self.tile_parts = 1
        """With gradients, run the tiles in so many chunks, or more where ``tile_chunk`` asks for smaller ones."""
        self.no_grad_chunk = no_grad_chunk
        self.embedded_width = encoder.width if aggregate == "tile_embedding" else encoder.trunk_width
        """E, width of what ``embed_tiles`` returns."""
        self.width = encoder.width
        """D, width of what ``pool`` returns."""
        self.pool_options = pool_options(pool)
        self.attention = build_pool(self.pool_options, self.embedded_width)
        """The pool; its name is that of its weights in every checkpoint."""

    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) scaled pixels -> (..., E), the vectors that are averaged; memory format is kept."""
        flat = _flat(tiles)
        chunk = self._chunk_of(len(flat)) if torch.is_grad_enabled() else self.no_grad_chunk
        run = self.encoder if self.aggregate == "tile_embedding" else self.encoder.trunk
        embedded: torch.Tensor = run(flat) if chunk is None or len(flat) <= chunk else in_chunks(run, run, flat, chunk)
        return embedded.reshape(*tiles.shape[:-3], self.embedded_width)

    def _chunk_of(self, tiles: int) -> int | None:
        if self.tile_parts == 1:
            return self.tile_chunk
        part = max(1, -(-tiles // self.tile_parts))
        return part if self.tile_chunk is None else min(part, self.tile_chunk)

    def pool(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Pool the tiles of each bag.

        Args:
            embedded: (K, N, E) from ``embed_tiles``.
            weights: (K, N), 0 for tiles that are padding; None: all count.

        Returns:
            (K, D) bag embeddings.
        """
        pooled = self.attention(embedded, weights)
        if self.aggregate == "backbone":
            pooled = self.encoder.head(pooled)
        return nn.functional.normalize(pooled, dim=-1) if self.l2_normalise else pooled

    def forward(self, tiles: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """(K, N, C, H, W) -> (K, D)."""
        return self.pool(self.embed_tiles(tiles), weights)


def _flat(tiles: torch.Tensor) -> torch.Tensor:
    """(..., C, H, W) -> (n, C, H, W), channels last when the tiles were."""
    flat = tiles.reshape(-1, *tiles.shape[-3:])
    if tiles.shape[-3] > 1 and tiles.stride(-3) == 1:
        return flat.contiguous(memory_format=torch.channels_last)
    return flat
