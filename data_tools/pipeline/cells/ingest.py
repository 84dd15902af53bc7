"""One call from a config of cells to a dataset: survey, shards, tables, manifest; restartable as the ingest of plates.

The steps are those of ``orchestrate`` without flat-fields and nuclei, on the same build folder, runner and shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from data_tools.pipeline.build.attempt import Attempt, Summary, carry_out, make_missing
from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.runner import Runner
from data_tools.pipeline.build.shard_file import known_facts
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.finish import all_cell_problems, assemble_cells
from data_tools.pipeline.cells.jobs import sample_cells, shard_jobs
from data_tools.pipeline.cells.survey import CellSurvey, survey_cells
from data_tools.pipeline.cells.task import CellShardJob, make_cell_shard
from data_tools.readers.problem import relative_text
from framework.data.format.schema import PLATE, WELL, Manifest


@dataclass(frozen=True, kw_only=True, repr=False)
class CellsSummary(Summary):
    """What an ingest of cells made, or what it would make.

    Attributes:
        sources: names of the exports.
        bags: number of bags.
        cells: listed (or found, where a reader segments).
        empty_bags: bags without tiles, ``source/bag``.
        lone_cells: bags with one tile, which has no partner in its bag.
        labels: columns of text stored with each tile.
        matched: ``source: table: cells with a row``.
    """

    sources: tuple[str, ...]
    bags: int
    cells: int
    empty_bags: tuple[str, ...] = ()
    lone_cells: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()


def ingest_cells(config: CellsIngestConfig, attempt: Attempt, *, dry_run: bool) -> CellsSummary:
    """Turn exports of single cells into a dataset, or only estimate it. Raises as ``carry_out``."""
    if dry_run:
        return _dry_run(config, attempt)
    return carry_out(
        config,
        attempt,
        survey=survey_cells,
        build=_build,
        jobs_again=_jobs_again,
        make=make_cell_shard,
        of_complete=_of_complete,
    )


def _build(config: CellsIngestConfig, found: CellSurvey, attempt: Attempt) -> CellsSummary:
    build = attempt.build
    jobs = shard_jobs(config, found, build)
    with attempt.runner(len(jobs)) as runner:
        facts, reused = _shards(jobs, attempt, runner)
    attempt.report("tables", 0, 1)
    manifest = assemble_cells(config, found, build, jobs, facts)
    attempt.report("tables", 1, 1)
    bags = [bag for item in facts for bag in item.bags]
    problems = all_cell_problems(found, facts)
    return replace(
        _of_complete(manifest, build),
        state="built",
        sources=tuple(export.plate for export in found.exports),
        empty_bags=tuple(bag.name for bag in bags if bag.n_tiles == 0),
        lone_cells=tuple(bag.name for bag in bags if bag.n_tiles == 1),
        labels=found.labels,
        matched=found.matched,
        shards_reused=reused,
        problems=tuple(problem.detail for problem in problems),
        notes=found.notes,
    )


def _jobs_again(
    config: CellsIngestConfig, found: CellSurvey, attempt: Attempt, manifest: Manifest
) -> list[CellShardJob]:
    """Return the jobs of a finished dataset; its manifest has nothing they need."""
    return shard_jobs(config, found, attempt.build)


def _shards(jobs: Sequence[CellShardJob], attempt: Attempt, runner: Runner) -> tuple[list[ShardFacts], int]:
    known = [known_facts(job.files, job.inputs) for job in jobs]
    sizes = [len(job.cells) for job in jobs]
    return make_missing(make_cell_shard, jobs, known, sizes, partial(attempt.report, "cells"), runner)


def _named(bags: pd.DataFrame) -> tuple[str, ...]:
    return tuple(f"{plate}/{well}" for plate, well in zip(bags[PLATE], bags[WELL], strict=True))


def _of_complete(manifest: Manifest, build: BuildFolder) -> CellsSummary:
    return CellsSummary(
        state="already_complete",
        out=str(build.root),
        sources=tuple(source["plate"] for source in manifest.source["sources"]),
        bags=manifest.n_bags,
        channels=manifest.tile.channels,
        pixel_size_um=manifest.pixel_size_um,
        cells=manifest.n_nuclei,
        tiles=manifest.n_tiles,
        bytes=sum(shard.bytes for shard in manifest.shards),
        markers=manifest.markers,
        shards=len(manifest.shards),
        shards_reused=len(manifest.shards),
        problems=tuple(item.detail for item in manifest.skipped),
        notes=("a finished dataset of this config is there; nothing was done",),
    )


def _dry_run(config: CellsIngestConfig, attempt: Attempt) -> CellsSummary:
    """Survey, and read a few cells of each export to see whether they can be used."""
    build = attempt.build
    found = survey_cells(config, build.base)
    tiles, problems = 0, [problem.detail for problem in found.problems]
    for done, export in enumerate(found.exports):
        attempt.report("sample", done, len(found.exports))
        good, bad = sample_cells(config, done, export)
        tiles += good
        problems += [relative_text(text, build.base) for text in bad]
    attempt.report("sample", len(found.exports), len(found.exports))
    each = len(config.channels) * config.tiles.size_px**2 * np.dtype(config.tiles.dtype).itemsize
    few = [bag for export in found.exports for bag in export.cells["bag"][export.few].unique()]
    return CellsSummary(
        state="dry_run",
        out=str(build.root),
        sources=tuple(export.plate for export in found.exports),
        bags=len(found.bags),
        channels=config.channels,
        pixel_size_um=found.pixel_size_um,
        cells=sum(len(export.cells) for export in found.exports),
        tiles=tiles,
        bytes=tiles * each,
        empty_bags=_named(found.bags[found.bags["bag"].isin(few)]),
        markers=tuple(config.markers),
        labels=found.labels,
        matched=found.matched,
        problems=tuple(problems),
        notes=found.notes,
    )
