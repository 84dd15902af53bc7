"""Parts of shards become the tables of a dataset: what the end of every build shares."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_tools.pipeline.build import BuildFolder
from data_tools.pipeline.durable import explained, record, replacing, write_json
from data_tools.pipeline.shard_file import load_counts
from data_tools.pipeline.statistics import PixelCounts
from data_tools.readers import Problem
from framework.data.schema import (
    CHECKSUMS_NAME,
    INDEX_NAME,
    MANIFEST_NAME,
    TILES_NAME,
    BlockSums,
    ChannelStatistics,
    FileRecord,
    Manifest,
    Skipped,
)
from framework.data.tile_index import write_index


def beside_shards(facts: Sequence[dict[str, Any]], root: Path) -> list[FileRecord]:
    """Write the sums of all blocks; return the records of these and of the metadata of Zarr shards."""
    sums = {item["shard"]["name"]: tuple(item["block_sums"]) for item in facts if item["shard"]}
    write_json(root / CHECKSUMS_NAME, BlockSums(crc32=sums).plain())
    metadata = [FileRecord.model_validate(item["metadata"]) for item in facts if item["metadata"]]
    return [record(root / CHECKSUMS_NAME, root), *metadata]


def tile_index(root: Path, n_bags: int, *, coded: bool) -> FileRecord:
    """Write ``tiles.index`` from the finished tiles.parquet; return its record."""
    tiles = record(root / TILES_NAME, root)
    with replacing(root / INDEX_NAME) as stream:
        write_index(stream, root / TILES_NAME, tiles.sha256, n_bags, coded=coded)
    return record(root / INDEX_NAME, root)


def tile_tables(parts: Sequence[Path], facts: Sequence[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the tile tables of the shards with global shard numbers and global rows of nuclei."""
    shard, first_nucleus = 0, 0
    for part, item in zip(parts, facts, strict=True):
        table = pq.read_table(part)
        nucleus = table["nucleus"].to_numpy() + first_nucleus
        table = table.set_column(schema.get_field_index("nucleus"), schema.field("nucleus"), pa.array(nucleus))
        numbers = pa.array(np.full(len(table), shard, dtype=np.int32))
        yield table.set_column(schema.get_field_index("shard"), schema.field("shard"), numbers)
        shard += item["shard"] is not None
        first_nucleus += item["n_nuclei"]


def channel_statistics(parts: Sequence[Path], channels: Sequence[str], dtype: str) -> dict[str, ChannelStatistics]:
    """Return the statistics of each channel over all shards, in the order of the dataset."""
    is_float = dtype == "float32"
    total = PixelCounts.empty(len(channels), is_float)
    for part in parts:
        total.merge(load_counts(part, is_float))
    return {channel: total.statistics(index) for index, channel in enumerate(channels)}


def skipped(problem: Problem) -> Skipped:
    """Return a problem as the manifest lists it."""
    return Skipped(
        plate=problem.plate,
        well=problem.well or "",
        site=problem.site,
        file=problem.file,
        reason=problem.reason,
        detail=problem.detail,
    )


def finish(manifest: Manifest, build: BuildFolder) -> None:
    """Sweep what is no part of the dataset, write ``dataset.json``, and remove the parts."""
    build.finish({item.name for item in (*manifest.files, *manifest.shards)})
    write_json(build.root / MANIFEST_NAME, manifest.model_dump(mode="json"))
    with explained(build.root):
        shutil.rmtree(build.parts, ignore_errors=True)
