"""The end of a build: parts become tables, targets are written, and ``dataset.json`` says that all is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from data_tools.ingest_config import IngestConfig
from data_tools.omics import build_targets
from data_tools.pipeline.build import BuildFolder, versions
from data_tools.pipeline.durable import record, write_json, write_with
from data_tools.pipeline.joining import beside_shards, channel_statistics, finish, skipped, tile_index, tile_tables
from data_tools.pipeline.shading import flatfield_name
from data_tools.pipeline.shard_task import ShardJob
from data_tools.pipeline.survey import Survey
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


def assemble(
    config: IngestConfig,
    survey: Survey,
    build: BuildFolder,
    jobs: Sequence[ShardJob],
    facts: Sequence[dict[str, Any]],
    flatfields: Sequence[FileRecord],
) -> Manifest:
    """Write everything that is not a shard, ``dataset.json`` last, and remove the parts.

    Args:
        config: of the ingest.
        survey: what was found.
        build: the folder.
        jobs: of all shards, in order.
        facts: what their markers say, in the same order.
        flatfields: records of the flat-field files.

    Raises:
        InputError: not one tile was made, or an omics table cannot be used.
        DatasetError: writing failed.
    """
    rows = [row for item in facts for row in item["bags"]]
    shards = [ShardRecord.model_validate(item["shard"]) for item in facts if item["shard"]]
    if not shards:
        raise InputError(_nothing_found(config, rows))
    root = build.root
    bags = bags_table(rows)
    write_tables(root / BAGS_NAME, [bags], bags.schema)
    write_tables(root / NUCLEI_NAME, (pq.read_table(job.files.part("nuclei.parquet")) for job in jobs), NUCLEI_SCHEMA)
    counts, tiles = ([job.files.part(what) for job in jobs] for what in ("counts.npz", "tiles.parquet"))
    schema = tiles_schema(config.markers)
    write_tables(root / TILES_NAME, tile_tables(tiles, facts, schema), schema)
    targets = _write_targets(config, bags.to_pandas(), root)
    _write_qc(config, survey, facts, targets, root)
    fixed = [
        BAGS_NAME,
        TILES_NAME,
        NUCLEI_NAME,
        "qc/index.json",
        *(f"targets/{name}.h5ad" for name in targets),
    ]
    pictures = [entry["file"] for item in facts for entry in item["overviews"]]
    index = tile_index(root, len(rows), coded=config.shards.codec is not None)
    plain = (record(root / name, root) for name in (*fixed, *pictures))
    files = [*flatfields, *beside_shards(facts, root), index, *plain]
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        tile=TileFormat(
            channels=config.channels,
            height=config.tiles.size_px,
            width=config.tiles.size_px,
            dtype=config.tiles.dtype,
        ),
        pixel_size_um=survey.pixel_size_um,
        layout=config.shards.layout,
        codec=config.shards.codec,
        chunk_tiles=config.shards.chunk_tiles,
        n_plates=len(survey.plates),
        n_bags=len(rows),
        n_tiles=sum(shard.tiles for shard in shards),
        n_nuclei=sum(item["n_nuclei"] for item in facts),
        markers=config.markers,
        targets=tuple(targets),
        channel_statistics=channel_statistics(counts, config.channels, config.tiles.dtype),
        skipped=tuple(skipped(problem) for problem in all_problems(survey, facts)),
        source=config.plain(),
        versions=versions(),
        files=tuple(sorted(files, key=lambda item: item.name)),
        shards=tuple(shards),
    )
    finish(manifest, build)
    return manifest


def all_problems(survey: Survey, facts: Sequence[dict[str, Any]]) -> list[Problem]:
    """Return every problem, plate by plate in config order, those of the listing before those of the pixels."""
    found = [*survey.problems, *(Problem(**entry) for item in facts for entry in item["problems"])]
    order = {plate.name: index for index, plate in enumerate(survey.plates)}
    return sorted(found, key=lambda problem: order[problem.plate])


def _write_targets(config: IngestConfig, bags: pd.DataFrame, root: Path) -> dict[str, dict[str, Any]]:
    """Write the targets and return for each name what the report should know."""
    written: dict[str, dict[str, Any]] = {}
    for omics in config.omics:
        for target in build_targets(omics, bags, config.seed):
            if target.name in written:
                raise InputError(f"two omics tables make a target '{target.name}'; rename one entry of 'omics'")
            write_with(root / "targets" / f"{target.name}.h5ad", target.data.write_h5ad)
            written[target.name] = {
                "bags": target.data.n_obs,
                "genes": target.data.n_vars,
                "dropped_genes": len(target.data.uns["wellstream"]["dropped_genes"]),
                "plate_effect": target.data.uns["wellstream"]["plate_effect"],
                "without_images": [list(pair) for pair in target.without_images],
                "without_omics": [list(pair) for pair in target.without_omics],
            }
    return written


def _write_qc(
    config: IngestConfig, survey: Survey, facts: Sequence[dict[str, Any]], targets: dict[str, Any], root: Path
) -> None:
    """Write ``qc/index.json``: what the report shows, and where it lies."""
    flatfields = [] if config.illumination.method == "none" else _flatfield_entries(config, survey)
    write_json(
        root / "qc" / "index.json",
        {
            "overviews": [entry for item in facts for entry in item["overviews"]],
            "flatfields": flatfields,
            "cells": [entry for item in facts for entry in item["cells"]],
            "targets": targets,
            "notes": [note for plate in survey.plates for note in plate.notes],
        },
    )


def _flatfield_entries(config: IngestConfig, survey: Survey) -> list[dict[str, str]]:
    return [
        {"file": flatfield_name(plate, channel, config), "plate": plate.name, "channel": channel}
        for plate in survey.plates
        if plate.sites()
        for channel in config.read_channels
    ]


def _nothing_found(config: IngestConfig, rows: Sequence[dict[str, Any]]) -> str:
    nuclei = sum(row["n_nuclei"] for row in rows)
    sites = sum(row["n_sites"] for row in rows)
    if nuclei:
        return (
            f"{nuclei} nuclei in {sites} sites, but none whose tile of {config.tiles.size_px} px is inside the image; "
            "lower tiles.size_px"
        )
    return (
        f"no nucleus in {sites} sites; check nuclei.channel ('{config.nuclei.channel}') and the nucleus diameter, and "
        "list the input with --dry-run"
    )
