"""Tables of a dataset as an ingest writes them, without the ingest: for themes about opening, and for other processes.

Tables of any number of tiles can be written without their pixels: opening a dataset reads no shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.synthetic import CHANNELS, SIZE_PX
from data_tools.pipeline.build.folder import record
from data_tools.pipeline.build.joining import tile_index
from data_tools.pipeline.build.parts import bags_table, tiles_schema, write_tables
from framework.data.dataset import Dataset, TileIndex
from framework.data.format.schema import (
    BAG,
    BAGS_NAME,
    CONTROL_TYPE,
    MANIFEST_NAME,
    PERCENTILES,
    PERTURBATION,
    SCHEMA_VERSION,
    SOURCE,
    STIMULATION,
    TILES_NAME,
    ChannelStatistics,
    Manifest,
    ShardRecord,
    TileFormat,
)
from framework.durable import write_json

_GROUP = 1_000_000
"""Rows of a row group."""
_TAR_HEADER = 512


def write(dataset: Dataset) -> None:
    """Write manifest, bags.parquet, tiles.parquet and tiles.arrow of a dataset in memory into its folder."""
    starts = dataset.index.bag_start
    rows = [
        {
            "bag": bag,
            SOURCE: f"plate-{bag // 384:05d}",
            BAG: f"{chr(65 + bag % 384 // 24)}{bag % 24 + 1:02d}",
            PERTURBATION: f"gene-{bag // 2:06d}",
            STIMULATION: "none",
            CONTROL_TYPE: "treatment",
            "n_sites": 1,
            "n_cells": int(starts[bag + 1] - starts[bag]),
            "n_tiles": int(starts[bag + 1] - starts[bag]),
        }
        for bag in range(len(starts) - 1)
    ]
    bags = bags_table(rows)
    write_tables(dataset.root / BAGS_NAME, [bags], bags.schema)
    write_tables(dataset.root / TILES_NAME, _tiles(dataset), tiles_schema(()))
    index = tile_index(dataset.root, coded=dataset.manifest.codec is not None)
    tables = (record(dataset.root / name, dataset.root) for name in (BAGS_NAME, TILES_NAME))
    files = (*dataset.manifest.files, *tables, index)
    manifest = dataset.manifest.model_copy(update={"files": files})
    write_json(dataset.root / MANIFEST_NAME, manifest.sealed().model_dump(mode="json"))


def write_without_pixels(folder: Path, n_tiles: int, n_bags: int) -> None:
    """Write the tables of ``n_tiles`` tiles in ``n_bags`` bags of equal size."""
    folder.mkdir(parents=True)
    per_bag = n_tiles // n_bags
    tile = TileFormat(channels=CHANNELS, height=SIZE_PX, width=SIZE_PX)
    owner = np.repeat(np.arange(n_bags, dtype=np.int32), per_bag)
    offset = np.tile(_TAR_HEADER + np.arange(per_bag, dtype=np.int64) * tile.nbytes, n_bags)
    nbytes = _TAR_HEADER + per_bag * tile.nbytes
    shards = tuple(
        ShardRecord(name=f"shards/shard-{bag:06d}.tar", bytes=nbytes, blake3="0" * 64, tiles=per_bag)
        for bag in range(n_bags)
    )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name="bench",
        tile=tile,
        pixel_size_um=None,
        chunk_tiles=per_bag,
        n_sources=-(-n_bags // 384),
        n_bags=n_bags,
        n_tiles=len(owner),
        n_cells=len(owner),
        channel_statistics=dict.fromkeys(
            CHANNELS, ChannelStatistics(mean=0.0, sd=1.0, percentiles=dict.fromkeys(PERCENTILES, 0.0))
        ),
        source={},
        versions={},
        files=(),
        shards=shards,
    )
    starts = np.arange(n_bags + 1, dtype=np.int64) * per_bag
    index = TileIndex(bag=owner, shard=owner, offset=offset, bag_start=starts)
    write(Dataset(root=folder, manifest=manifest, bags=pd.DataFrame({"bag": range(n_bags)}), index=index))


def _tiles(dataset: Dataset) -> Iterator[pa.Table]:
    index, tile = dataset.index, dataset.manifest.tile
    schema = tiles_schema(())
    random = np.random.default_rng(0)
    for first in range(0, len(index), _GROUP):
        some = slice(first, min(first + _GROUP, len(index)))
        count = some.stop - first
        columns = {
            "bag": index.bag[some],
            "site": np.ones(count, dtype=np.int16),
            "y_px": random.uniform(0, 2160, count).astype(np.float32),
            "x_px": random.uniform(0, 2160, count).astype(np.float32),
            "cell": np.arange(first, some.stop),
            "shard": index.shard[some],
            "offset": index.offset[some],
            "nbytes": np.full(count, tile.nbytes, dtype=np.int32),
        }
        yield pa.table(columns, schema=schema)
