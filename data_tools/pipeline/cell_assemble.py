"""The end of an ingest of cells: parts become tables, and ``dataset.json`` says that all is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from data_tools.cells_config import CellsIngestConfig
from data_tools.pipeline.build import BuildFolder, versions
from data_tools.pipeline.cell_survey import CellSurvey
from data_tools.pipeline.cell_task import CellShardJob
from data_tools.pipeline.durable import record, write_json
from data_tools.pipeline.joining import beside_shards, channel_statistics, finish, skipped, tile_index, tile_tables
from data_tools.pipeline.tables import NUCLEI_SCHEMA, bags_table, tiles_schema, write_tables
from data_tools.readers import Problem
from framework.data.schema import (
    BAGS_NAME,
    NUCLEI_NAME,
    SCHEMA_VERSION,
    TILES_NAME,
    FileRecord,
    Manifest,
    ShardRecord,
    TileFormat,
)
from framework.errors import InputError

_SHOWN_PROBLEMS = 5


def assemble_cells(
    config: CellsIngestConfig,
    found: CellSurvey,
    build: BuildFolder,
    jobs: Sequence[CellShardJob],
    facts: Sequence[dict[str, Any]],
) -> Manifest:
    """Write everything that is not a shard, ``dataset.json`` last, and remove the parts.

    Args:
        config: of the ingest.
        found: what was surveyed.
        build: the folder.
        jobs: of all shards, in order.
        facts: what their markers say, in the same order.

    Raises:
        InputError: not one tile was made.
        DatasetError: writing failed.
    """
    root, markers = build.root, tuple(config.markers)
    rows = [row for item in facts for row in item["bags"]]
    problems = all_cell_problems(found, facts)
    shards = [ShardRecord.model_validate(item["shard"]) for item in facts if item["shard"]]
    if not shards:
        raise InputError(_nothing(config, rows, problems))
    bags = bags_table(rows)
    write_tables(root / BAGS_NAME, [bags], bags.schema)
    write_tables(root / NUCLEI_NAME, (pq.read_table(job.files.part("nuclei.parquet")) for job in jobs), NUCLEI_SCHEMA)
    schema, tiles = tiles_schema(markers, found.labels), [job.files.part("tiles.parquet") for job in jobs]
    write_tables(root / TILES_NAME, tile_tables(tiles, facts, schema), schema)
    nothing: dict[str, Any] = {"overviews": [], "flatfields": [], "cells": [], "targets": {}}
    write_json(root / "qc" / "index.json", {**nothing, "notes": [*found.notes, *found.matched]})
    fixed = [BAGS_NAME, TILES_NAME, NUCLEI_NAME, "qc/index.json"]
    index = tile_index(root, len(rows), coded=config.shards.codec is not None)
    files: list[FileRecord] = [*beside_shards(facts, root), index, *(record(root / name, root) for name in fixed)]
    size = config.tiles.size_px
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        tile=TileFormat(channels=config.channels, height=size, width=size, dtype=config.tiles.dtype),
        pixel_size_um=found.pixel_size_um,
        layout=config.shards.layout,
        codec=config.shards.codec,
        chunk_tiles=config.shards.chunk_tiles,
        n_plates=len(found.exports),
        n_bags=len(rows),
        n_tiles=sum(shard.tiles for shard in shards),
        n_nuclei=sum(item["n_nuclei"] for item in facts),
        markers=markers,
        channel_statistics=channel_statistics(
            [job.files.part("counts.npz") for job in jobs], config.channels, config.tiles.dtype
        ),
        skipped=tuple(skipped(problem) for problem in problems),
        source=config.plain(),
        versions=versions(),
        files=tuple(sorted(files, key=lambda item: item.name)),
        shards=tuple(shards),
    )
    finish(manifest, build)
    return manifest


def _nothing(config: CellsIngestConfig, rows: Sequence[dict[str, Any]], problems: Sequence[Problem]) -> str:
    cells = sum(row["n_nuclei"] for row in rows)
    reasons = [problem.detail for problem in problems[:_SHOWN_PROBLEMS]]
    least = f"; each bag needs {config.bags.min_cells} ('bags.min_cells')" if config.bags.min_cells > 1 else ""
    return "\n".join([f"no tile could be made of {cells} cells in {len(rows)} bags{least}", *reasons])


def all_cell_problems(found: CellSurvey, facts: Sequence[dict[str, Any]]) -> list[Problem]:
    """Return every problem, those of the listings before those of the pixels."""
    return [*found.problems, *(Problem(**entry) for item in facts for entry in item["problems"])]
