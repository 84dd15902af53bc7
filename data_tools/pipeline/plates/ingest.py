"""Ingest of plates: how raw plates become jobs for shards, and what their dataset has beside the shards.

The steps stand in the order in which ``build.attempt`` takes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_tools.nuclei import NUCLEI
from data_tools.omics import Target
from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder, bag_rows, file_state, record, writing
from data_tools.pipeline.build.kind import Ending, Kind, Summary
from data_tools.pipeline.build.runner import Runner
from data_tools.pipeline.build.shard_file import ShardFiles
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.estimate import estimate
from data_tools.pipeline.plates.fields import overview_sites
from data_tools.pipeline.plates.plate import Bag, Plate, remark_notes, sites_digest
from data_tools.pipeline.plates.preview import look_at
from data_tools.pipeline.plates.shading import (
    ImageKind,
    fit_plates,
    flatfield_name,
    image_kind,
    stored_flatfields,
)
from data_tools.pipeline.plates.survey import Survey, survey
from data_tools.pipeline.plates.task import ShardJob, make_shard
from framework.data.format.schema import BAG, SOURCE, FileRecord, Manifest
from framework.files.h5_writing import write_h5ad
from framework.format import byte_size
from framework.look.values import Look
from framework.progress import OnProgress


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


class PlatesIngest(Kind[IngestConfig, Survey, ShardJob, IngestSummary]):
    """Ingest of raw plates."""

    stage = "wells"

    def survey(self, base: Path) -> Survey:
        """List exports, plate maps and tables."""
        return survey(self.config, base)

    def dry_run(self, found: Survey, folder: BuildFolder, report: OnProgress) -> IngestSummary:
        """Estimate the dataset from some sites."""
        config, guess = self.config, estimate(self.config, found, folder.base, report)
        wells = [(plate, bag) for plate in found.plates for bag in plate.bags]
        return IngestSummary(
            state="dry_run",
            out=str(folder.root),
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

    def look(self, found: Survey, folder: BuildFolder, summary: IngestSummary, report: OnProgress) -> Look:
        """Look at some fields."""
        size = "unknown" if found.pixel_size_um is None else f"{found.pixel_size_um:.4g} µm"
        facts = {
            "plates": ", ".join(summary.plates),
            "wells": f"{summary.wells} with {summary.sites} fields",
            "channels": ", ".join(summary.channels),
            "pixel size": size,
            "nuclei": f"about {summary.nuclei}",
            "tiles": f"about {summary.tiles} of {self.config.tiles.size_px} px, {byte_size(summary.bytes)}",
            "targets": ", ".join(summary.targets) or "none",
            "markers": ", ".join(summary.markers) or "none",
        }
        return look_at(self.config, found, folder.base, facts, report)

    def jobs(
        self, found: Survey, folder: BuildFolder, runner: Runner, report: OnProgress, finished: Manifest | None
    ) -> list[ShardJob]:
        """Fit the flat-fields, or take those of a finished dataset; a shard is then made of consecutive wells."""
        config, none = self.config, ImageKind(shape=(0, 0), types=())
        kinds = [image_kind(plate, config, folder.base) if plate.sites() else none for plate in found.plates]
        if finished is None:
            flatfields = fit_plates(found.plates, kinds, config, folder, runner, report)
        else:
            flatfields = [stored_flatfields(plate, config, finished, folder.root) for plate in found.plates]
        jobs: list[ShardJob] = []
        for plate, kind, fields in zip(found.plates, kinds, flatfields, strict=True):
            jobs += _jobs(plate, kind, fields, config, folder, len(jobs), found.plane_labels)
        return jobs

    @staticmethod
    def make(job: ShardJob) -> ShardFacts:
        """Make one shard."""
        return make_shard(job)

    def why_empty(self, found: Survey, facts: Sequence[ShardFacts]) -> str:
        """Say why no tile was made."""
        config, bags = self.config, [bag for item in facts for bag in item.bags]
        nuclei = sum(bag.n_cells for bag in bags)
        sites = sum(bag.n_sites for bag in bags)
        if nuclei:
            return (
                f"{nuclei} nuclei in {sites} sites, but none whose tile of {config.tiles.size_px} px is inside the "
                "image; lower tiles.size_px"
            )
        where = (
            f"check nuclei.channel ('{config.nuclei.channel}') and the nucleus diameter"
            if NUCLEI.get(config.nuclei.method).build.from_pixels
            else f"the centres that nuclei.method '{config.nuclei.method}' takes from elsewhere name none"
        )
        return f"no nucleus in {sites} sites; {where}, and list the input with --dry-run"

    def ending(self, found: Survey, jobs: Sequence[ShardJob], facts: Sequence[ShardFacts], root: Path) -> Ending:
        """Write the targets; problems go plate by plate, those of the listing before those of the pixels."""
        place = {plate.name: index for index, plate in enumerate(found.plates)}
        problems = [*found.problems, *(problem for item in facts for problem in item.problems)]
        targets = write_targets(found.targets, root)
        return Ending(
            n_sources=len(found.plates),
            problems=sorted(problems, key=lambda problem: place[problem.plate]),
            notes=_notes(found, facts),
            markers=self.config.markers,
            labels=found.plane_labels,
            flatfields=_flatfield_entries(self.config, found) if self.config.illumination.corrects else (),
            targets=targets,
            files=[
                *dict.fromkeys(field for job in jobs for field in job.flatfields),
                *(record(root / "targets" / f"{name}.h5ad", root) for name in targets),
                *(record(root / facts["samples_file"], root) for facts in targets.values()),
            ],
        )

    def of_complete(self, manifest: Manifest, root: Path) -> IngestSummary:
        """Say what a finished dataset holds."""
        bags = bag_rows(root)
        return IngestSummary.of(
            manifest,
            root,
            plates=tuple(dict.fromkeys(bag[SOURCE] for bag in bags)),
            wells=manifest.n_bags,
            sites=sum(bag["n_sites"] for bag in bags),
            nuclei=manifest.n_cells,
            empty_wells=tuple(f"{bag[SOURCE]}/{bag[BAG]}" for bag in bags if not bag["n_tiles"]),
            targets=manifest.targets,
        )

    def of_build(self, complete: IngestSummary, found: Survey, facts: Sequence[ShardFacts]) -> IngestSummary:
        """Add plates without a well, and what became of tables of cells."""
        return replace(
            complete,
            plates=tuple(plate.name for plate in found.plates),
            cells_matched=tuple(
                f"{well.plate}/{well.well}: {well.matched} of {well.cells} cells, {well.nuclei} nuclei"
                for item in facts
                for well in item.cells
            ),
            notes=_notes(found, facts),
        )


def _notes(found: Survey, facts: Sequence[ShardFacts]) -> tuple[str, ...]:
    """Return the notes of the survey, and what nucleus methods said of single sites, counted."""
    return (*found.notes, *remark_notes(remark for item in facts for remark in item.remarks))


def _jobs(
    plate: Plate,
    kind: ImageKind,
    flatfields: Sequence[FileRecord],
    config: IngestConfig,
    folder: BuildFolder,
    first: int,
    labels: tuple[str, ...],
) -> list[ShardJob]:
    """Return the shards of a plate, numbered from ``first``."""
    overviews, step = overview_sites(plate, config), config.shards.bags_per_shard
    jobs = []
    for number, start in enumerate(range(0, len(plate.bags), step), first):
        bags = plate.bags[start : start + step]
        wells = {bag.well for bag in bags}
        chosen = frozenset(item for item in overviews if item[0] in wells)
        jobs.append(
            ShardJob(
                files=ShardFiles(index=number, root=folder.root, parts=folder.parts, shards=config.shards),
                base=folder.base,
                plate=replace(plate, bags=()),
                bags=bags,
                shape=kind.shape,
                types=kind.types,
                config=config,
                flatfields=tuple(flatfields),
                overviews=chosen,
                labels=labels,
                inputs=_inputs(plate, bags, kind, flatfields, chosen, config.markers),
            )
        )
    return jobs


def _inputs(
    plate: Plate,
    bags: Sequence[Bag],
    kind: ImageKind,
    fields: Sequence[FileRecord],
    chosen: frozenset[tuple[str, int]],
    markers: Sequence[str],
) -> str:
    """Return a digest of all a shard is made of, beside those keys of the config that ``plan.json`` guards."""
    facts = [
        plate.name,
        plate.key,
        plate.pixel_size_um,
        kind.shape,
        kind.types,
        [item.blake3 for item in fields],
        sorted(chosen),
        list(markers),
        plate.cells.plain() if plate.cells else None,
        [
            [
                bag.bag,
                bag.metadata,
                bag.n_sites_imaged,
                sites_digest(bag.sites),
                file_state(bag.cells) if bag.cells else "",
            ]
            for bag in bags
        ],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_targets(targets: Sequence[Target], root: Path) -> dict[str, dict[str, Any]]:
    """Write targets below a folder, and return for each name what the report should know.

    Raises:
        DatasetError: writing failed.
    """
    written: dict[str, dict[str, Any]] = {}
    for target in targets:
        with writing(root / "targets"):
            write_h5ad(root / "targets" / f"{target.name}.h5ad", target.data)
        samples = f"qc/omics/{target.name}.h5ad"
        with writing((root / samples).parent):
            write_h5ad(root / samples, target.samples)
        facts = target.data.uns["wellstream"]
        written[target.name] = {
            "samples_file": samples,
            "bags": target.data.n_obs,
            "genes": target.data.n_vars,
            "dropped_genes": len(facts["dropped_genes"]),
            "expressed_in": facts["expressed_in"],
            "low_on": dict(zip(facts["filtered_plates"], facts["low_genes"].tolist(), strict=True)),
            "plate_effect": facts["plate_effect"],
            "without_images": [list(pair) for pair in target.without_images],
            "without_omics": [list(pair) for pair in target.without_omics],
        }
    return written


def _flatfield_entries(config: IngestConfig, found: Survey) -> list[dict[str, str]]:
    return [
        {"file": flatfield_name(plate, channel, config), "plate": plate.name, "channel": channel}
        for plate in found.plates
        if plate.sites()
        for channel in config.read_channels
    ]
