"""One call from a config of cells to a dataset: survey, shards, tables, manifest; restartable as the ingest of plates.

The steps are those of ``orchestrate`` without flat-fields and nuclei, on the same build folder, runner and shards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from data_tools.cells_config import CellsIngestConfig
from data_tools.pipeline.build import BuildFolder
from data_tools.pipeline.cell_assemble import all_cell_problems, assemble_cells
from data_tools.pipeline.cell_jobs import sample_cells, shard_jobs
from data_tools.pipeline.cell_survey import CellSurvey, survey_cells
from data_tools.pipeline.cell_task import CellShardJob, make_cell_shard
from data_tools.pipeline.durable import explained, only_writer
from data_tools.pipeline.repair import lost_files, remake, restore_index
from data_tools.pipeline.runner import Runner, open_runner
from data_tools.pipeline.shard_file import known_facts
from data_tools.pipeline.survey import relative_text
from data_tools.readers import Problem
from framework.data.schema import PLATE, WELL, Manifest
from framework.errors import InputError

Progress = Callable[[str, int, int], None]
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True)
class CellsSummary:
    """What an ingest of cells made, or what it would make.

    Attributes:
        state: ``built``, ``already_complete``, ``repaired`` or ``dry_run``.
        out: the dataset folder.
        sources: names of the exports.
        bags: number of bags.
        channels: stored channels.
        pixel_size_um: of the dataset.
        cells: listed (or found, where a reader segments).
        tiles: stored; an estimate after a dry run.
        bytes: of all shards; an estimate after a dry run.
        empty_bags: bags without tiles, ``source/bag``.
        lone_cells: bags with one tile, which has no partner in its bag.
        markers: measurements stored with each tile.
        labels: columns of text stored with each tile.
        matched: ``source: table: cells with a row``.
        shards: number of shards.
        shards_reused: those an earlier attempt had finished.
        problems: sentences, one for each piece of input that was (or would be) left out.
        notes: sentences of the readers.
    """

    state: Literal["built", "already_complete", "repaired", "dry_run"]
    out: str
    sources: tuple[str, ...]
    bags: int
    channels: tuple[str, ...]
    pixel_size_um: float | None
    cells: int
    tiles: int
    bytes: int
    empty_bags: tuple[str, ...] = ()
    lone_cells: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    shards: int = 0
    shards_reused: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def ingest_cells(
    config: CellsIngestConfig,
    out: Path | str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> CellsSummary:
    """Turn exports of single cells into a dataset, or continue where an earlier attempt stopped.

    Args:
        config: what to ingest.
        out: dataset folder: new, empty, or that of an earlier attempt with the same config.
        scheduler: address of a Dask scheduler whose workers see the same files; default: workers on this machine.
        workers: local processes; default one a core; 0 does all in this process.
        progress: called with (stage, done, total).
        dry_run: list what would be read and written; write nothing.

    Raises:
        InputError: input that cannot be used; with ``on_error: skip`` only what concerns the config as a whole.
        DatasetError: a folder that holds something else, is not writable, or a full disk.
        PipelineError: workers that die or a scheduler that does not answer.
    """
    report = progress or (lambda stage, done, total: None)
    build = BuildFolder(root=Path(out).absolute(), base=Path.cwd())
    if dry_run:
        return _dry_run(config, build, report)
    build.check(config)
    found = None if build.complete(config) else survey_cells(config, build.base)
    if found is not None and config.on_error == "raise" and found.problems:
        raise _as_error(found.problems)
    with explained(build.root):
        build.root.mkdir(parents=True, exist_ok=True)
    with only_writer(build.root):
        complete = build.claim(config)
        again = restore_index(complete, build.root) if complete is not None else ()
        if complete is not None and not lost_files(complete, build.root):
            if again:
                return replace(_of_complete(complete, build), state="repaired", notes=again)
            note = "a finished dataset of this config is there; nothing was done"
            return replace(_of_complete(complete, build), notes=(note,))
        found = found or survey_cells(config, build.base)
        if complete is not None:
            return _repair(config, found, build, complete, scheduler, workers)
        return _build(config, found, build, scheduler, workers, report)


def _build(
    config: CellsIngestConfig,
    found: CellSurvey,
    build: BuildFolder,
    scheduler: str | None,
    workers: int | None,
    report: Progress,
) -> CellsSummary:
    jobs = shard_jobs(config, found, build)
    with open_runner(scheduler, workers, len(jobs), build.parts / "dask") as runner:
        facts, reused = _shards(jobs, build, runner, report)
    report("tables", 0, 1)
    manifest = assemble_cells(config, found, build, jobs, facts)
    report("tables", 1, 1)
    bags = pd.DataFrame([row for item in facts for row in item["bags"]])
    problems = all_cell_problems(found, facts)
    return replace(
        _of_complete(manifest, build),
        state="built",
        sources=tuple(export.plate for export in found.exports),
        empty_bags=_named(bags[bags["n_tiles"] == 0]),
        lone_cells=_named(bags[bags["n_tiles"] == 1]),
        labels=found.labels,
        matched=found.matched,
        shards_reused=reused,
        problems=tuple(problem.detail for problem in problems),
        notes=found.notes,
    )


def _repair(
    config: CellsIngestConfig,
    found: CellSurvey,
    build: BuildFolder,
    manifest: Manifest,
    scheduler: str | None,
    workers: int | None,
) -> CellsSummary:
    """Make the lost shards of a finished dataset again, and nothing else."""
    lost = lost_files(manifest, build.root)
    every = shard_jobs(config, found, build)
    jobs = [job for job in every if any(file.relative_to(build.root).as_posix() in lost for file in job.files.stored)]
    with explained(build.root):
        build.parts.mkdir(exist_ok=True)
    with open_runner(scheduler, workers, len(jobs), build.parts / "dask") as runner:
        remake(make_cell_shard, jobs, manifest, build, runner)
    note = f"{len(jobs)} lost shards were made again, each with its recorded checksum"
    reused = len(manifest.shards) - len(jobs)
    return replace(_of_complete(manifest, build), state="repaired", shards_reused=reused, notes=(note,))


def _shards(
    jobs: Sequence[CellShardJob], build: BuildFolder, runner: Runner, report: Progress
) -> tuple[list[dict[str, Any]], int]:
    """Make the shards that are not there yet; return the facts of all, in order, and how many were there."""
    known = [known_facts(job.files, job.inputs, build) for job in jobs]
    missing = [job for job, facts in zip(jobs, known, strict=True) if facts is None]
    total = sum(len(job.cells) for job in jobs)
    done = total - sum(len(job.cells) for job in missing)
    report("cells", done, total)
    fresh: dict[int, dict[str, Any]] = {}
    for job, made in zip(missing, runner.each(make_cell_shard, missing), strict=True):
        fresh[job.files.index] = made
        done += len(job.cells)
        report("cells", done, total)
    facts = [fresh[job.files.index] if old is None else old for job, old in zip(jobs, known, strict=True)]
    return facts, sum(old is not None and old["shard"] is not None for old in known)


def _named(bags: pd.DataFrame) -> tuple[str, ...]:
    return tuple(f"{plate}/{well}" for plate, well in zip(bags[PLATE], bags[WELL], strict=True))


def _as_error(problems: Sequence[Problem]) -> InputError:
    shown = [problem.detail for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more problems; list them all with --dry-run")
    return InputError("\n".join(shown))


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
    )


def _dry_run(config: CellsIngestConfig, build: BuildFolder, report: Progress) -> CellsSummary:
    """Survey, and read a few cells of each export to see whether they can be used."""
    found = survey_cells(config, build.base)
    tiles, problems = 0, [problem.detail for problem in found.problems]
    for done, export in enumerate(found.exports):
        report("sample", done, len(found.exports))
        good, bad = sample_cells(config, done, export)
        tiles += good
        problems += [relative_text(text, build.base) for text in bad]
    report("sample", len(found.exports), len(found.exports))
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
