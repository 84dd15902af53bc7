"""The end of a build: parts become tables, targets are written, and ``dataset.json`` says that all is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_tools.nuclei import NUCLEI
from data_tools.pipeline.build.durable import record, write_json, write_with
from data_tools.pipeline.build.facts import BagFacts, ShardFacts
from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.joining import finish, join_tables
from data_tools.pipeline.plates.centres import remark_notes
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.shading import flatfield_name
from data_tools.pipeline.plates.survey import Survey
from data_tools.pipeline.plates.task import ShardJob
from data_tools.readers.problem import Problem
from framework.data.format.schema import FileRecord, Manifest
from framework.errors import InputError


def assemble(
    config: IngestConfig,
    survey: Survey,
    build: BuildFolder,
    jobs: Sequence[ShardJob],
    facts: Sequence[ShardFacts],
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
        InputError: not one tile was made.
        DatasetError: writing failed.
    """
    root, parts = build.root, [job.files for job in jobs]
    if not any(item.shard for item in facts):
        raise InputError(_nothing_found(config, [bag for item in facts for bag in item.bags]))
    join_tables(root, parts, facts, config.markers)
    targets = _write_targets(survey, root)
    _write_qc(config, survey, facts, targets, root)
    pictures = [picture.file for item in facts for picture in item.overviews]
    names = [*(f"targets/{name}.h5ad" for name in targets), *pictures]
    return finish(
        config,
        build,
        parts,
        facts,
        pixel_size_um=survey.pixel_size_um,
        n_plates=len(survey.plates),
        problems=all_problems(survey, facts),
        notes=all_notes(survey, facts),
        markers=config.markers,
        targets=tuple(targets),
        more=[*flatfields, *(record(root / name, root) for name in names)],
    )


def all_problems(survey: Survey, facts: Sequence[ShardFacts]) -> list[Problem]:
    """Return every problem, plate by plate in config order, those of the listing before those of the pixels."""
    found = [*survey.problems, *(problem for item in facts for problem in item.problems)]
    order = {plate.name: index for index, plate in enumerate(survey.plates)}
    return sorted(found, key=lambda problem: order[problem.plate])


def all_notes(survey: Survey, facts: Sequence[ShardFacts]) -> tuple[str, ...]:
    """Return the notes of the survey, and what nucleus methods said of single sites, counted."""
    return (*survey.notes, *remark_notes(remark for item in facts for remark in item.remarks))


def _write_targets(survey: Survey, root: Path) -> dict[str, dict[str, Any]]:
    """Write the targets and return for each name what the report should know."""
    written: dict[str, dict[str, Any]] = {}
    for target in survey.targets:
        write_with(root / "targets" / f"{target.name}.h5ad", target.data.write_h5ad)
        facts = target.data.uns["wellstream"]
        written[target.name] = {
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


def _write_qc(
    config: IngestConfig, survey: Survey, facts: Sequence[ShardFacts], targets: dict[str, Any], root: Path
) -> None:
    """Write ``qc/index.json``: what the report shows, and where it lies."""
    flatfields = _flatfield_entries(config, survey) if config.illumination.corrects else []
    write_json(
        root / "qc" / "index.json",
        {
            "overviews": [asdict(picture) for item in facts for picture in item.overviews],
            "flatfields": flatfields,
            "cells": [asdict(counts) for item in facts for counts in item.cells],
            "targets": targets,
            "notes": list(all_notes(survey, facts)),
        },
    )


def _flatfield_entries(config: IngestConfig, survey: Survey) -> list[dict[str, str]]:
    return [
        {"file": flatfield_name(plate, channel, config), "plate": plate.name, "channel": channel}
        for plate in survey.plates
        if plate.sites()
        for channel in config.read_channels
    ]


def _nothing_found(config: IngestConfig, bags: Sequence[BagFacts]) -> str:
    nuclei = sum(bag.n_nuclei for bag in bags)
    sites = sum(bag.n_sites for bag in bags)
    if nuclei:
        return (
            f"{nuclei} nuclei in {sites} sites, but none whose tile of {config.tiles.size_px} px is inside the image; "
            "lower tiles.size_px"
        )
    where = (
        f"check nuclei.channel ('{config.nuclei.channel}') and the nucleus diameter"
        if NUCLEI.get(config.nuclei.method).build.from_pixels
        else f"the centres that nuclei.method '{config.nuclei.method}' takes from elsewhere name none"
    )
    return f"no nucleus in {sites} sites; {where}, and list the input with --dry-run"
