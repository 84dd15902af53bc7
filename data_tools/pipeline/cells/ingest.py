"""Ingest of single cells: how their exports become jobs for shards, and what their dataset has beside the shards.

The steps stand in the order in which ``build.attempt`` takes them; there are no flat-fields and no nuclei to be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.kind import Ending, Kind, Summary
from data_tools.pipeline.build.runner import Runner
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.jobs import sample_cells, shard_jobs
from data_tools.pipeline.cells.preview import look_at_cells
from data_tools.pipeline.cells.survey import CellSurvey, survey_cells
from data_tools.pipeline.cells.task import CellShardJob, make_cell_shard
from data_tools.readers.problem import Problem, relative_text
from framework.data.format.schema import BAG, SOURCE, Manifest
from framework.errors import some_of
from framework.format import byte_size
from framework.look.values import Look
from framework.progress import OnProgress

_SHOWN_PROBLEMS = 5


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


class CellsIngest(Kind[CellsIngestConfig, CellSurvey, CellShardJob, CellsSummary]):
    """Ingest of cells that are cropped already, or that a reader crops."""

    stage = "cells"

    def survey(self, base: Path) -> CellSurvey:
        """List exports and tables, and sort the cells into bags."""
        return survey_cells(self.config, base)

    def dry_run(self, found: CellSurvey, folder: BuildFolder, report: OnProgress) -> CellsSummary:
        """Read a few cells of each export to see whether they can be used."""
        config, n_exports = self.config, len(found.exports)
        tiles, problems = 0, [problem.detail for problem in found.problems]
        for done, export in enumerate(found.exports):
            report("sample", done, n_exports)
            good, bad = sample_cells(config, done, export)
            tiles += good
            problems += [relative_text(text, folder.base) for text in bad]
        report("sample", n_exports, n_exports)
        each = len(config.channels) * config.tiles.size_px**2 * np.dtype(config.tiles.dtype).itemsize
        few = [bag for export in found.exports for bag in export.cells["bag"][export.few].unique()]
        return CellsSummary(
            state="dry_run",
            out=str(folder.root),
            sources=tuple(export.plate for export in found.exports),
            bags=len(found.bags),
            channels=config.channels,
            pixel_size_um=found.pixel_size_um,
            cells=sum(len(export.cells) for export in found.exports),
            tiles=tiles,
            bytes=tiles * each,
            empty_bags=_named(found.bags[found.bags["bag"].isin(few)]),
            markers=tuple(found.markers),
            labels=found.labels,
            matched=found.matched,
            problems=tuple(problems),
            notes=found.notes,
        )

    def look(self, found: CellSurvey, folder: BuildFolder, summary: CellsSummary, report: OnProgress) -> Look:
        """Look at some cells."""
        size = "unknown" if found.pixel_size_um is None else f"{found.pixel_size_um:.4g} µm"
        read = any(export.listing.several for export in found.exports)
        facts = {
            "exports": ", ".join(summary.sources),
            "fields" if read else "cells": str(summary.cells),
            "bags": str(summary.bags),
            "channels": ", ".join(summary.channels),
            "pixel size": size,
            "tiles": "known once fields are read"
            if read
            else f"about {summary.tiles} of {self.config.tiles.size_px} px, {byte_size(summary.bytes)}",
            "labels of cells": ", ".join(summary.labels) or "none",
            "markers": some_of(summary.markers),
        }
        return look_at_cells(self.config, found, facts, summary.problems, report)

    def jobs(
        self, found: CellSurvey, folder: BuildFolder, runner: Runner, report: OnProgress, finished: Manifest | None
    ) -> list[CellShardJob]:
        """Return the shards, the same for a dataset that is new and one that is finished."""
        return shard_jobs(self.config.model_copy(update={"markers": found.markers}), found, folder)

    @staticmethod
    def make(job: CellShardJob) -> ShardFacts:
        """Make one shard."""
        return make_cell_shard(job)

    def why_empty(self, found: CellSurvey, facts: Sequence[ShardFacts]) -> str:
        """Say why no tile was made."""
        bags, least = [bag for item in facts for bag in item.bags], self.config.bags.min_cells
        cells = sum(bag.n_cells for bag in bags)
        reasons = [problem.detail for problem in _problems(found, facts)[:_SHOWN_PROBLEMS]]
        needed = f"; each bag needs {least} ('bags.min_cells')" if least > 1 else ""
        return "\n".join([f"no tile could be made of {cells} cells in {len(bags)} bags{needed}", *reasons])

    def ending(
        self, found: CellSurvey, jobs: Sequence[CellShardJob], facts: Sequence[ShardFacts], root: Path
    ) -> Ending:
        """Return what is to be said; there is nothing to write."""
        return Ending(
            n_sources=len(found.exports),
            problems=_problems(found, facts),
            notes=[*found.notes, *found.matched],
            markers=tuple(found.markers),
            labels=found.labels,
        )

    def of_complete(self, manifest: Manifest, root: Path) -> CellsSummary:
        """Say what a finished dataset holds."""
        sources = tuple(source["name"] for source in manifest.source["sources"])
        return CellsSummary.of(manifest, root, sources=sources, bags=manifest.n_bags, cells=manifest.n_cells)

    def of_build(self, complete: CellsSummary, found: CellSurvey, facts: Sequence[ShardFacts]) -> CellsSummary:
        """Add bags of no tile or one, labels, and how tables were joined."""
        bags = [bag for item in facts for bag in item.bags]
        return replace(
            complete,
            empty_bags=tuple(bag.name for bag in bags if bag.n_tiles == 0),
            lone_cells=tuple(bag.name for bag in bags if bag.n_tiles == 1),
            labels=found.labels,
            matched=found.matched,
            notes=found.notes,
        )


def _problems(found: CellSurvey, facts: Sequence[ShardFacts]) -> list[Problem]:
    """Return every problem, those of the listings before those of the pixels."""
    return [*found.problems, *(problem for item in facts for problem in item.problems)]


def _named(bags: pd.DataFrame) -> tuple[str, ...]:
    return tuple(f"{plate}/{well}" for plate, well in zip(bags[SOURCE], bags[BAG], strict=True))
