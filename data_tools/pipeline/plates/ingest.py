"""One call from a config to a dataset: survey, flat-fields, shards, tables, manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from data_tools.pipeline.build.attempt import Attempt, Summary, carry_out, make_missing
from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder, file_state
from data_tools.pipeline.build.runner import Runner
from data_tools.pipeline.build.shard_file import known_facts
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.estimate import estimate
from data_tools.pipeline.plates.finish import all_notes, all_problems, assemble
from data_tools.pipeline.plates.overview import overview_sites
from data_tools.pipeline.plates.shading import ImageKind, fit_plate, image_kind, mean_sites, stored_flatfields
from data_tools.pipeline.plates.site import sites_digest
from data_tools.pipeline.plates.survey import Plate, Survey, survey
from data_tools.pipeline.plates.task import ShardJob, make_shard
from framework.data.format.schema import FileRecord, Manifest


@dataclass(frozen=True, kw_only=True, repr=False)
class IngestSummary(Summary):
    """What an ingest of plates made, or what it would make.

    Attributes:
        plates, wells, sites: what there is to read.
        nuclei: found; an estimate after a dry run.
        empty_wells: wells without tiles, ``plate/well``.
        cells_matched: ``plate/well: matched of cells``.
        targets: omics targets.
    """

    plates: tuple[str, ...]
    wells: int
    sites: int
    nuclei: int
    empty_wells: tuple[str, ...] = ()
    cells_matched: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


def ingest_plates(config: IngestConfig, attempt: Attempt, *, dry_run: bool) -> IngestSummary:
    """Turn raw plates into a dataset, or only estimate it. Raises as ``carry_out``."""
    if dry_run:
        return _dry_run(config, attempt)
    return carry_out(
        config,
        attempt,
        survey=survey,
        build=_build,
        jobs_again=_jobs_again,
        make=make_shard,
        of_complete=_of_complete,
    )


def _build(config: IngestConfig, found: Survey, attempt: Attempt) -> IngestSummary:
    n_shards = sum(len(_groups(plate, config)) for plate in found.plates)
    build = attempt.build
    with attempt.runner(n_shards) as runner:
        kinds = _kinds(config, found, build)
        flatfields = _flatfields(config, found, attempt, runner, kinds)
        jobs = _jobs(config, found, build, kinds, flatfields)
        facts, reused = _shards(jobs, attempt, runner)
    attempt.report("tables", 0, 1)
    manifest = assemble(config, found, build, jobs, facts, [item for records in flatfields for item in records])
    attempt.report("tables", 1, 1)
    bags = [bag for item in facts for bag in item.bags]
    return replace(
        _of_complete(manifest, build),
        state="built",
        plates=tuple(plate.name for plate in found.plates),
        sites=sum(bag.n_sites for bag in bags),
        empty_wells=tuple(bag.name for bag in bags if not bag.n_tiles),
        cells_matched=tuple(
            f"{well.plate}/{well.well}: {well.matched} of {well.cells} cells, {well.nuclei} nuclei"
            for item in facts
            for well in item.cells
        ),
        shards_reused=reused,
        problems=tuple(problem.detail for problem in all_problems(found, facts)),
        notes=all_notes(found, facts),
    )


def _jobs_again(config: IngestConfig, found: Survey, attempt: Attempt, manifest: Manifest) -> list[ShardJob]:
    """Return the jobs of a finished dataset, with the flat-fields it has."""
    build = attempt.build
    kinds = _kinds(config, found, build)
    fields = [stored_flatfields(plate, config, manifest, build.root) for plate in found.plates]
    return _jobs(config, found, build, kinds, fields)


def _kinds(config: IngestConfig, found: Survey, build: BuildFolder) -> list[ImageKind]:
    none = ImageKind(shape=(0, 0), types=())
    return [image_kind(plate, config, build.base) if plate.sites() else none for plate in found.plates]


def _flatfields(
    config: IngestConfig,
    found: Survey,
    attempt: Attempt,
    runner: Runner,
    kinds: Sequence[ImageKind],
) -> list[list[FileRecord]]:
    """Return the flat-field files of each plate; none where correction is off or no site is read."""
    if not config.illumination.corrects:
        return [[] for _ in found.plates]
    total = sum(len(mean_sites(plate, config)) for plate in found.plates)
    done = 0

    def advance(sites: int) -> None:
        nonlocal done
        done += sites
        attempt.report("flat-fields", done, total)

    attempt.report("flat-fields", 0, total)
    return [
        fit_plate(plate, config, attempt.build, runner, kind, advance) if plate.sites() else []
        for plate, kind in zip(found.plates, kinds, strict=True)
    ]


def _groups(plate: Plate, config: IngestConfig) -> list[Plate]:
    """Return the plate cut into the bags of each shard."""
    step = config.shards.bags_per_shard
    return [replace(plate, bags=plate.bags[start : start + step]) for start in range(0, len(plate.bags), step)]


def _jobs(
    config: IngestConfig,
    found: Survey,
    build: BuildFolder,
    kinds: Sequence[ImageKind],
    flatfields: Sequence[Sequence[FileRecord]],
) -> list[ShardJob]:
    jobs: list[ShardJob] = []
    for plate, kind, fields in zip(found.plates, kinds, flatfields, strict=True):
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
                    shape=kind.shape,
                    types=kind.types,
                    config=config,
                    flatfields=tuple(build.root / item.name for item in fields) or None,
                    overviews=chosen,
                    inputs=_inputs(group, kind, fields, chosen),
                )
            )
    return jobs


def _inputs(group: Plate, kind: ImageKind, fields: Sequence[FileRecord], chosen: frozenset[tuple[str, int]]) -> str:
    """Return a digest of all a shard is made of, beside the config, which ``plan.json`` guards."""
    facts = [
        group.name,
        group.key,
        group.pixel_size_um,
        kind.shape,
        kind.types,
        [item.blake3 for item in fields],
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


def _shards(jobs: Sequence[ShardJob], attempt: Attempt, runner: Runner) -> tuple[list[ShardFacts], int]:
    known = [known_facts(job.files, job.inputs) for job in jobs]
    sizes = [len(job.bags) for job in jobs]
    return make_missing(make_shard, jobs, known, sizes, partial(attempt.report, "wells"), runner)


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


def _dry_run(config: IngestConfig, attempt: Attempt) -> IngestSummary:
    build = attempt.build
    found = survey(config, build.base)
    guess = estimate(config, found, build.base, attempt.report)
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
        targets=tuple(target.name for target in found.targets),
        problems=tuple(problem.detail for problem in (*found.problems, *guess.problems)),
        notes=(*found.notes, f"tiles are estimated from some sites, to within about {2 * guess.tiles_error}"),
    )
