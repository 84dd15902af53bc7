"""The mean over tiles: every tile speaks alike for its bag."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from framework.models.pools.base import POOLS, BagPool, PoolOptions, sum_over_tiles, without_padding


class MeanPoolConfig(PoolOptions):
    """Options of ``mean``: there are none."""

    name: Literal["mean"] = "mean"


def mean_over_tiles(embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Average the tiles of each bag.

    Args:
        embedded: (K, N, E).
        weights: (K, N) >= 0, or None when every tile counts 1; a tile of weight 0 has no influence, not even as NaN.

    Returns:
        (K, E) in float32 at least; zeros for a bag without any weight.
    """
    wide = torch.promote_types(embedded.dtype, torch.float32)
    if weights is None:
        return embedded.mean(dim=1, dtype=wide)
    return sum_over_tiles(without_padding(embedded, weights), _shares(weights.to(wide)))


def _shares(weights: torch.Tensor) -> torch.Tensor:
    return weights / weights.sum(dim=1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)


class MeanPool(BagPool):
    """``mean_over_tiles`` as a pool."""

    said: ClassVar[str] = "mean"
    learns: ClassVar[bool] = False

    def shares(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """See ``BagPool``."""
        given = embedded.new_ones(embedded.shape[:2]) if weights is None else weights.to(embedded.dtype)
        return _shares(given)

    def forward(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """See ``BagPool``."""
        return mean_over_tiles(embedded, weights)


@POOLS.register("mean", MeanPoolConfig)
def mean(options: MeanPoolConfig, width: int) -> MeanPool:
    """Return the mean, which has no parameters."""
    return MeanPool()
