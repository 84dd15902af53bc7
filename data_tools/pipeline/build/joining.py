"""Parts of shards become the tables of a dataset: what the end of every build shares."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data_tools.pipeline.build.config import IngestBase
from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder, explained, record, remake_part, versions, writing
from data_tools.pipeline.build.kind import C, Ending, F, J, Kind, S
from data_tools.pipeline.build.parts import (
    CELLS_SCHEMA,
    PixelCounts,
    bags_table,
    load_counts,
    tiles_schema,
    write_tables,
)
from data_tools.pipeline.build.shard_file import ShardFiles
from data_tools.readers.problem import Problem
from framework.data.format.schema import (
    BAGS_NAME,
    CELLS_NAME,
    CHECKSUMS_NAME,
    INDEX_NAME,
    MANIFEST_NAME,
    SCHEMA_VERSION,
    TILES_NAME,
    BlockSums,
    ChannelStatistics,
    FileRecord,
    Manifest,
    Skipped,
    TileFormat,
)
from framework.data.format.tile_index import write_index
from framework.durable import replacing, write_json
from framework.errors import InputError
from framework.files.parquet import read_arrow_table

QC_INDEX_NAME = "qc/index.json"


def join_tables(
    root: Path,
    parts: Sequence[ShardFiles],
    facts: Sequence[ShardFacts],
    markers: Sequence[str],
    labels: Sequence[str],
) -> None:
    """Write the tables of bags, nuclei and tiles from the parts of all shards, in order."""
    bags = bags_table([bag.row for item in facts for bag in item.bags])
    write_tables(root / BAGS_NAME, [bags], bags.schema)
    write_tables(root / CELLS_NAME, (_part(files.part("cells.parquet")) for files in parts), CELLS_SCHEMA)
    schema, tiles = tiles_schema(markers, labels), [files.part("tiles.parquet") for files in parts]
    write_tables(root / TILES_NAME, tile_tables(tiles, facts, schema), schema)


def beside_shards(facts: Sequence[ShardFacts], root: Path) -> list[FileRecord]:
    """Write the sums of all blocks; return the records of these and of the metadata of Zarr shards."""
    stored = [item.shard for item in facts if item.shard is not None]
    sums = BlockSums(crc32={item.record.name: item.block_sums for item in stored})
    with explained(root):
        write_json(root / CHECKSUMS_NAME, sums.plain())
    metadata = [item.metadata for item in stored if item.metadata is not None]
    return [record(root / CHECKSUMS_NAME, root), *metadata]


def tile_index(root: Path, *, coded: bool) -> FileRecord:
    """Write ``tiles.arrow`` from the finished tiles.parquet; return its record."""
    tiles = record(root / TILES_NAME, root)
    with explained(root), replacing(root / INDEX_NAME) as stream:
        write_index(stream, root / TILES_NAME, tiles.blake3, coded=coded)
    return record(root / INDEX_NAME, root)


def tile_tables(parts: Sequence[Path], facts: Sequence[ShardFacts], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the tile tables of the shards with global shard numbers and global rows of nuclei."""
    shard, first_nucleus = 0, 0
    for part, item in zip(parts, facts, strict=True):
        table = _part(part)
        nucleus = table["cell"].to_numpy() + first_nucleus
        table = table.set_column(schema.get_field_index("cell"), schema.field("cell"), pa.array(nucleus))
        numbers = pa.array(np.full(len(table), shard, dtype=np.int32))
        yield table.set_column(schema.get_field_index("shard"), schema.field("shard"), numbers)
        shard += item.shard is not None
        first_nucleus += item.n_cells


def _part(file: Path) -> pa.Table:
    return read_arrow_table(file, what="a part of an unfinished ingest", then=remake_part(file))


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
        source=problem.plate,
        bag=problem.well or "",
        site=problem.site,
        file=problem.file,
        reason=problem.reason,
        detail=problem.detail,
    )


def finish(
    kind: Kind[C, F, J, S], found: F, folder: BuildFolder, jobs: Sequence[J], facts: Sequence[ShardFacts]
) -> Manifest:
    """Write all that is not a shard, ``dataset.json`` last, and remove the parts and what is not part of the dataset.

    Args:
        kind: kind of the ingest.
        found: the survey.
        folder: with all shards and their parts.
        jobs: jobs of all shards, in order.
        facts: what their markers say, in the same order.

    Raises:
        InputError: not one tile was made.
        DatasetError: writing failed.
    """
    root = folder.root
    if all(item.shard is None for item in facts):
        raise InputError(kind.why_empty(found, facts))
    parts, ending = [job.files for job in jobs], kind.ending(found, jobs, facts, root)
    join_tables(root, parts, facts, ending.markers, ending.labels)
    with writing((root / QC_INDEX_NAME).parent):
        write_json(root / QC_INDEX_NAME, _for_the_report(facts, ending))
    pictures = [record(root / picture.file, root) for item in facts for picture in item.overviews]
    index = tile_index(root, coded=kind.config.shards.codec is not None)
    tables = [record(root / name, root) for name in (BAGS_NAME, TILES_NAME, CELLS_NAME, QC_INDEX_NAME)]
    files = [*ending.files, *pictures, *beside_shards(facts, root), index, *tables]
    statistics = channel_statistics(
        [item.part("counts.npz") for item in parts], kind.config.channels, kind.config.tiles.dtype
    )
    manifest = _manifest(kind.config, found.pixel_size_um, facts, ending, files, statistics)
    folder.finish({item.name for item in (*manifest.files, *manifest.shards)})
    manifest = manifest.sealed()
    with explained(root):
        write_json(root / MANIFEST_NAME, manifest.model_dump(mode="json"))
        shutil.rmtree(folder.parts, ignore_errors=True)
    return manifest


def _for_the_report(facts: Sequence[ShardFacts], ending: Ending) -> dict[str, Any]:
    """Return ``qc/index.json``: what the report shows, and where it lies."""
    return {
        "overviews": [asdict(picture) for item in facts for picture in item.overviews],
        "flatfields": list(ending.flatfields),
        "cells": [asdict(well) for item in facts for well in item.cells],
        "targets": ending.targets,
        "notes": list(ending.notes),
    }


def _manifest(
    config: IngestBase,
    pixel_size_um: float | None,
    facts: Sequence[ShardFacts],
    ending: Ending,
    files: Sequence[FileRecord],
    statistics: dict[str, ChannelStatistics],
) -> Manifest:
    shards = [item.shard.record for item in facts if item.shard is not None]
    size = config.tiles.size_px
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        tile=TileFormat(channels=config.channels, height=size, width=size, dtype=config.tiles.dtype),
        pixel_size_um=pixel_size_um,
        layout=config.shards.layout,
        codec=config.shards.codec,
        chunk_tiles=config.shards.chunk_tiles,
        n_sources=ending.n_sources,
        n_bags=sum(len(item.bags) for item in facts),
        n_tiles=sum(shard.tiles for shard in shards),
        n_cells=sum(item.n_cells for item in facts),
        markers=ending.markers,
        targets=tuple(ending.targets),
        channel_statistics=statistics,
        skipped=tuple(skipped(problem) for problem in ending.problems),
        notes=tuple(ending.notes),
        source=config.plain(),
        versions=versions(),
        files=tuple(sorted(files, key=lambda item: item.name)),
        shards=tuple(shards),
    )
