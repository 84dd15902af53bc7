"""Pools, chosen by ``name`` in a config: how the tiles of a bag become one vector; one file per pool."""

from framework.models.pools.base import POOLS, BagPool, PoolChoice, PoolOptions, build_pool, pool_options
from framework.models.pools.gated_attention import GatedAttention, GatedAttentionConfig
from framework.models.pools.mean import MeanPool, MeanPoolConfig, mean_over_tiles
from framework.models.pools.set_attention import SetAttention, SetAttentionConfig

__all__ = [
    "POOLS",
    "BagPool",
    "GatedAttention",
    "GatedAttentionConfig",
    "MeanPool",
    "MeanPoolConfig",
    "PoolChoice",
    "PoolOptions",
    "SetAttention",
    "SetAttentionConfig",
    "build_pool",
    "mean_over_tiles",
    "pool_options",
]
