"""Shards: files of tiles whose every byte is a function of the tiles, and which stock readers open.

Layout ``tar`` (``ShardWriter``) is read by WebDataset, layout ``zarr`` (``ZarrShardWriter``) by Zarr. In both a tile is
a byte range of the file, known as it is written.
"""

from data_tools.shards.base import random_order
from data_tools.shards.config import ShardsConfig
from data_tools.shards.tar import ShardWriter, ustar_header
from data_tools.shards.zarr import DATA_KEY, ZarrShardWriter

__all__ = [
    "DATA_KEY",
    "ShardWriter",
    "ShardsConfig",
    "ZarrShardWriter",
    "random_order",
    "ustar_header",
]
