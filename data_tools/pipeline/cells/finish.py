"""The end of an ingest of cells: parts become tables, and ``dataset.json`` says that all is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_tools.pipeline.build.durable import write_json
from data_tools.pipeline.build.facts import BagFacts, ShardFacts
from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.joining import finish, join_tables
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.survey import CellSurvey
from data_tools.pipeline.cells.task import CellShardJob
from data_tools.readers.problem import Problem
from framework.data.format.schema import Manifest
from framework.errors import InputError

_SHOWN_PROBLEMS = 5


def assemble_cells(
    config: CellsIngestConfig,
    found: CellSurvey,
    build: BuildFolder,
    jobs: Sequence[CellShardJob],
    facts: Sequence[ShardFacts],
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
    problems, parts = all_cell_problems(found, facts), [job.files for job in jobs]
    if not any(item.shard for item in facts):
        raise InputError(_nothing(config, [bag for item in facts for bag in item.bags], problems))
    join_tables(build.root, parts, facts, tuple(config.markers), found.labels)
    nothing: dict[str, Any] = {"overviews": [], "flatfields": [], "cells": [], "targets": {}}
    notes = [*found.notes, *found.matched]
    write_json(build.root / "qc" / "index.json", {**nothing, "notes": notes})
    return finish(
        config,
        build,
        parts,
        facts,
        pixel_size_um=found.pixel_size_um,
        n_plates=len(found.exports),
        problems=problems,
        notes=notes,
        markers=tuple(config.markers),
    )


def _nothing(config: CellsIngestConfig, bags: Sequence[BagFacts], problems: Sequence[Problem]) -> str:
    cells = sum(bag.n_nuclei for bag in bags)
    reasons = [problem.detail for problem in problems[:_SHOWN_PROBLEMS]]
    least = f"; each bag needs {config.bags.min_cells} ('bags.min_cells')" if config.bags.min_cells > 1 else ""
    return "\n".join([f"no tile could be made of {cells} cells in {len(bags)} bags{least}", *reasons])


def all_cell_problems(found: CellSurvey, facts: Sequence[ShardFacts]) -> list[Problem]:
    """Return every problem, those of the listings before those of the pixels."""
    return [*found.problems, *(problem for item in facts for problem in item.problems)]
