"""One call from a config to a dataset: survey, flat-fields, shards, tables, manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from data_tools.ingest_config import IngestConfig
from data_tools.pipeline.assemble import all_problems, assemble
from data_tools.pipeline.build import BuildFolder, file_state, sites_digest
from data_tools.pipeline.durable import explained, only_writer
from data_tools.pipeline.estimate import estimate
from data_tools.pipeline.overview import overview_sites
from data_tools.pipeline.repair import lost_files, remake, restore_index, stored_flatfields
from data_tools.pipeline.runner import Runner, open_runner
from data_tools.pipeline.shading import fit_plate, mean_sites, plate_shape
from data_tools.pipeline.shard_file import known_facts
from data_tools.pipeline.shard_task import ShardJob, make_shard
from data_tools.pipeline.survey import Plate, Survey, survey
from data_tools.readers import Problem
from framework.data.schema import FileRecord, Manifest
from framework.errors import InputError

Progress = Callable[[str, int, int], None]
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True)
class IngestSummary:
    """What an ingest made, or what it would make.

    Attributes:
        state: ``built``, ``already_complete`` (nothing was done), ``repaired`` (lost files were made
            again) or ``dry_run`` (nothing was written).
        out: the dataset folder.
        plates, wells, sites, channels: what there is to read.
        pixel_size_um: of the dataset.
        nuclei, tiles: found and cut; estimates after a dry run.
        bytes: of all shards; an estimate after a dry run.
        empty_wells: wells without tiles, ``plate/well``.
        markers: single-cell markers.
        cells_matched: ``plate/well: matched of cells``.
        targets: omics targets.
        shards: number of shards.
        shards_reused: those an earlier attempt had finished.
        problems: sentences, one for each piece of input that was (or would be) left out.
        notes: sentences of the readers.
    """

    state: Literal["built", "already_complete", "repaired", "dry_run"]
    out: str
    plates: tuple[str, ...]
    wells: int
    sites: int
    channels: tuple[str, ...]
    pixel_size_um: float | None
    nuclei: int
    tiles: int
    bytes: int
    empty_wells: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    cells_matched: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shards: int = 0
    shards_reused: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def ingest(
    config: IngestConfig,
    out: Path | str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> IngestSummary:
    """Turn raw plates into a dataset, or continue where an earlier attempt stopped.

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
    found = None if build.complete(config) else survey(config, build.base)
    if found is not None and config.on_error == "raise" and found.problems:
        raise _as_error(found.problems)
    with explained(build.root):
        build.root.mkdir(parents=True, exist_ok=True)
    with only_writer(build.root):
        complete = build.claim(config)
        again = restore_index(complete, build.root) if complete is not None else ()
        if complete is not None and not lost_files(complete, build.root):
            done = _of_complete(complete, build)
            return replace(done, state="repaired", notes=again) if again else done
        if complete is not None:
            return _repair(config, build, complete, scheduler, workers)
        return _build(config, found or survey(config, build.base), build, scheduler, workers, report)


def _build(
    config: IngestConfig,
    found: Survey,
    build: BuildFolder,
    scheduler: str | None,
    workers: int | None,
    report: Progress,
) -> IngestSummary:
    n_shards = sum(len(_groups(plate, config)) for plate in found.plates)
    with open_runner(scheduler, workers, n_shards, build.parts / "dask") as runner:
        shapes = [plate_shape(plate, config, build.base) if plate.sites() else (0, 0) for plate in found.plates]
        flatfields = _flatfields(config, found, build, runner, shapes, report)
        jobs = _jobs(config, found, build, shapes, flatfields)
        facts, reused = _shards(jobs, build, runner, report)
    report("tables", 0, 1)
    manifest = assemble(config, found, build, jobs, facts, [item for records in flatfields for item in records])
    report("tables", 1, 1)
    rows = [row for item in facts for row in item["bags"]]
    return IngestSummary(
        state="built",
        out=str(build.root),
        plates=tuple(plate.name for plate in found.plates),
        wells=manifest.n_bags,
        sites=sum(row["n_sites"] for row in rows),
        channels=manifest.tile.channels,
        pixel_size_um=manifest.pixel_size_um,
        nuclei=manifest.n_nuclei,
        tiles=manifest.n_tiles,
        bytes=sum(shard.bytes for shard in manifest.shards),
        empty_wells=tuple(f"{row['Metadata_Plate']}/{row['Metadata_Well']}" for row in rows if not row["n_tiles"]),
        markers=manifest.markers,
        cells_matched=tuple(
            f"{entry['plate']}/{entry['well']}: {entry['matched']} of {entry['cells']} cells, {entry['nuclei']} nuclei"
            for item in facts
            for entry in item["cells"]
        ),
        targets=manifest.targets,
        shards=len(manifest.shards),
        shards_reused=reused,
        problems=tuple(problem.detail for problem in all_problems(found, facts)),
        notes=tuple(note for plate in found.plates for note in plate.notes),
    )


def _repair(
    config: IngestConfig, build: BuildFolder, manifest: Manifest, scheduler: str | None, workers: int | None
) -> IngestSummary:
    """Make the lost shards of a finished dataset again, and nothing else."""
    lost = lost_files(manifest, build.root)
    found = survey(config, build.base)
    shapes = [plate_shape(plate, config, build.base) if plate.sites() else (0, 0) for plate in found.plates]
    fields = [stored_flatfields(plate, config, manifest, build.root) for plate in found.plates]
    jobs = [
        job
        for job in _jobs(config, found, build, shapes, fields)
        if any(file.relative_to(build.root).as_posix() in lost for file in job.files.stored)
    ]
    with explained(build.root):
        build.parts.mkdir(exist_ok=True)
    with open_runner(scheduler, workers, len(jobs), build.parts / "dask") as runner:
        remake(make_shard, jobs, manifest, build, runner)
    note = f"{len(jobs)} lost shards were made again, each with its recorded checksum"
    reused = len(manifest.shards) - len(jobs)
    return replace(_of_complete(manifest, build), state="repaired", shards_reused=reused, notes=(note,))


def _flatfields(
    config: IngestConfig,
    found: Survey,
    build: BuildFolder,
    runner: Runner,
    shapes: Sequence[tuple[int, int]],
    report: Progress,
) -> list[list[FileRecord]]:
    """Return the flat-field files of each plate; none where correction is off or no site is read."""
    if config.illumination.method == "none":
        return [[] for _ in found.plates]
    total = sum(len(mean_sites(plate, config)) for plate in found.plates)
    done = 0

    def advance(sites: int) -> None:
        nonlocal done
        done += sites
        report("flat-fields", done, total)

    report("flat-fields", 0, total)
    return [
        fit_plate(plate, config, build, runner, shape, advance) if plate.sites() else []
        for plate, shape in zip(found.plates, shapes, strict=True)
    ]


def _groups(plate: Plate, config: IngestConfig) -> list[Plate]:
    """Return the plate cut into the bags of each shard."""
    step = config.shards.bags_per_shard
    return [replace(plate, bags=plate.bags[start : start + step]) for start in range(0, len(plate.bags), step)]


def _jobs(
    config: IngestConfig,
    found: Survey,
    build: BuildFolder,
    shapes: Sequence[tuple[int, int]],
    flatfields: Sequence[Sequence[FileRecord]],
) -> list[ShardJob]:
    jobs: list[ShardJob] = []
    for plate, shape, fields in zip(found.plates, shapes, flatfields, strict=True):
        overviews = overview_sites(plate, config)
        for group in _groups(plate, config):
            wells = {bag.well for bag in group.bags}
            chosen = frozenset(item for item in overviews if item[0] in wells)
            jobs.append(
                ShardJob(
                    index=len(jobs),
                    root=build.root,
                    parts=build.parts,
                    base=build.base,
                    plate=replace(plate, bags=()),
                    bags=group.bags,
                    shape=shape,
                    config=config,
                    flatfields=tuple(build.root / item.name for item in fields) or None,
                    overviews=chosen,
                    inputs=_inputs(group, shape, fields, chosen),
                )
            )
    return jobs


def _inputs(
    group: Plate, shape: tuple[int, int], fields: Sequence[FileRecord], chosen: frozenset[tuple[str, int]]
) -> str:
    """Return a digest of all a shard is made of, beside the config, which ``plan.json`` guards."""
    facts = [
        group.name,
        group.key,
        group.pixel_size_um,
        shape,
        [item.sha256 for item in fields],
        sorted(chosen),
        [
            [
                bag.bag,
                bag.metadata,
                bag.n_sites_imaged,
                sites_digest(bag.sites),
                file_state(bag.cells) if bag.cells else "",
            ]
            for bag in group.bags
        ],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _shards(
    jobs: Sequence[ShardJob], build: BuildFolder, runner: Runner, report: Progress
) -> tuple[list[dict[str, Any]], int]:
    """Make the shards that are not there yet; return the facts of all, in order, and how many were there."""
    known = [_known(job, build) for job in jobs]
    missing = [job for job, facts in zip(jobs, known, strict=True) if facts is None]
    total = sum(len(job.bags) for job in jobs)
    done = total - sum(len(job.bags) for job in missing)
    report("wells", done, total)
    fresh: dict[int, dict[str, Any]] = {}
    for job, made in zip(missing, runner.each(make_shard, missing), strict=True):
        fresh[job.index] = made
        done += len(job.bags)
        report("wells", done, total)
    facts = [fresh[job.index] if old is None else old for job, old in zip(jobs, known, strict=True)]
    return facts, sum(old is not None and old["shard"] is not None for old in known)


def _known(job: ShardJob, build: BuildFolder) -> dict[str, Any] | None:
    facts = known_facts(job.files, job.inputs, build)
    if facts is None or not all((job.root / entry["file"]).is_file() for entry in facts["overviews"]):
        return None
    return facts


def _as_error(problems: Sequence[Problem]) -> InputError:
    shown = [problem.detail for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more problems; list them all with --dry-run")
    return InputError("\n".join(shown))


def _of_complete(manifest: Manifest, build: BuildFolder) -> IngestSummary:
    return IngestSummary(
        state="already_complete",
        out=str(build.root),
        plates=(),
        wells=manifest.n_bags,
        sites=0,
        channels=manifest.tile.channels,
        pixel_size_um=manifest.pixel_size_um,
        nuclei=manifest.n_nuclei,
        tiles=manifest.n_tiles,
        bytes=sum(shard.bytes for shard in manifest.shards),
        markers=manifest.markers,
        targets=manifest.targets,
        shards=len(manifest.shards),
        shards_reused=len(manifest.shards),
        problems=tuple(item.detail for item in manifest.skipped),
        notes=("a finished dataset of this config is there; nothing was done",),
    )


def _dry_run(config: IngestConfig, build: BuildFolder, report: Progress) -> IngestSummary:
    found = survey(config, build.base)
    guess = estimate(config, found, build.base, report)
    wells = [(plate, bag) for plate in found.plates for bag in plate.bags]
    return IngestSummary(
        state="dry_run",
        out=str(build.root),
        plates=tuple(plate.name for plate in found.plates),
        wells=len(wells),
        sites=sum(bag.n_sites_imaged for _, bag in wells),
        channels=config.channels,
        pixel_size_um=found.pixel_size_um,
        nuclei=guess.nuclei,
        tiles=guess.tiles,
        bytes=guess.bytes,
        empty_wells=tuple(f"{plate.name}/{bag.well}" for plate, bag in wells if not bag.sites),
        markers=config.markers,
        problems=tuple(problem.detail for problem in (*found.problems, *guess.problems)),
        notes=tuple(note for plate in found.plates for note in plate.notes),
    )
