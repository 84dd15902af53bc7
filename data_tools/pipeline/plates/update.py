"""A finished dataset of plates gets other omics, plate-map columns or tables of cells; its pixels stay as they are.

The export is not needed. Tables become what an ingest with the new config makes; samples in tarballs keep old labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.omics import Target, read_omics
from data_tools.pipeline.build.facts import CellCounts
from data_tools.pipeline.build.folder import bag_rows
from data_tools.pipeline.build.update import COUNTS, NewTables, UpdateSummary, update_tables
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.ingest import write_targets
from data_tools.pipeline.plates.measured import check_cell_tables
from data_tools.pipeline.plates.survey import cell_tables, targets_of
from data_tools.pipeline.plates.task import cells_of, check_matches, site_markers
from data_tools.platemap import join, join_note, read_platemap
from data_tools.readers.problem import Problem, relative_text
from framework.data.format.schema import (
    BAG,
    CELLS_NAME,
    CONTROL_TYPE,
    MARKER_PREFIX,
    SOURCE,
    TILE_COLUMNS,
    TILES_NAME,
    WELL,
    Manifest,
)
from framework.errors import DatasetError, InputError
from framework.files.parquet import open_parquet
from framework.progress import OnProgress

_OF_TABLES = ("well_not_in_platemap", "well_without_images", "missing_cell_table", "cells_without_well")
"""Reasons of problems that the tables of an update have, or no longer have."""
_OLD_NOTES = re.compile(
    r"(?:omics '|target '|plate .*: (?:\d+ of \d+ wells with images|\d+ cells |no cell |marker ')|\d+ wells of)"
)


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """What the new tables say.

    Attributes:
        rows: rows of bags.parquet.
        markers: float32 (cells, markers) of every row of cells.parquet; None where no marker is stored.
        cells: how tables of cells met the nuclei.
        targets: targets of the omics tables.
        problems: what cannot be used.
        notes: sentences.
    """

    rows: list[dict[str, Any]]
    markers: npt.NDArray[np.float32] | None
    cells: tuple[CellCounts, ...]
    targets: tuple[Target, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def update_plates(config: IngestConfig, root: Path, base: Path, report: OnProgress) -> UpdateSummary:
    """Make the tables of a finished dataset of plates again with another config; shards stay byte by byte.

    Args:
        config: the new one.
        root: folder of the dataset, absolute.
        base: folder that messages leave out of file names.
        report: called with ("tables", done, total).

    Raises:
        DatasetError: as ``update_tables``.
        InputError: a table that cannot be used, or a plate map that would take wells out or add some.
    """

    def tables_of(manifest: Manifest) -> NewTables:
        found = _tables(config, manifest, root, base)
        labels = _label_columns(root)
        markers = {} if found.markers is None else dict(zip(config.markers, found.markers.T, strict=True))
        return NewTables(
            rows=found.rows,
            of_cells={MARKER_PREFIX + name: values for name, values in markers.items()},
            markers=config.markers,
            labels=labels,
            targets=tuple(target.name for target in found.targets),
            write=lambda folder: _write_targets(found.targets, folder),
            told={"cells": [asdict(each) for each in found.cells]},
            problems=found.problems,
            kept=tuple(item for item in manifest.skipped if item.reason not in _OF_TABLES),
            said=found.notes,
            notes=_notes(manifest, found),
        )

    return update_tables(config, root, "plates", report, tables_of)


def _write_targets(targets: tuple[Target, ...], folder: Path) -> tuple[list[str], dict[str, Any]]:
    facts = write_targets(targets, folder)
    samples = [str(each["samples_file"]) for each in facts.values()]
    return [*(f"targets/{name}.h5ad" for name in facts), *samples], {"targets": facts}


def _tables(config: IngestConfig, manifest: Manifest, root: Path, base: Path) -> _Tables:
    old = bag_rows(root)
    sources = list(dict.fromkeys(str(row[SOURCE]) for row in old))
    if len(sources) != len(config.plates):
        raise DatasetError(f"{root}: holds bags of {len(sources)} plates, the config names {len(config.plates)}")
    with open_parquet(root / CELLS_NAME) as file:
        cells = file.read(["bag", "site", "y_px", "x_px"]).to_pandas()
    names = config.markers
    markers = np.full((len(cells), len(names)), np.nan, np.float32) if names else None
    rows: list[dict[str, Any]] = []
    counts: list[CellCounts] = []
    problems: list[Problem] = []
    notes: list[str] = []
    for entry, source in zip(config.plates, sources, strict=True):
        mine = [row for row in old if row[SOURCE] == source]
        table, found, said = _labels(entry.platemap, source, mine)
        problems += found
        notes += said
        rows += _rows(mine, table)
        if entry.cells is not None:
            met, found, said = _cells(entry.cells, source, mine, table, cells, markers, names)
            counts += met
            problems += found
            notes += said
    labels = [{key: row[key] for key in row if key not in COUNTS} for row in rows]
    targets, said = targets_of(config, labels, [read_omics(omics) for omics in config.omics])
    return _Tables(
        rows=rows,
        markers=markers,
        cells=tuple(counts),
        targets=targets,
        problems=tuple(problem.relative_to(base) for problem in problems),
        notes=tuple(dict.fromkeys(relative_text(note, base) for note in (*notes, *said))),
    )


def _labels(
    options: Any, plate: str, old: Sequence[Mapping[str, Any]]
) -> tuple[pd.DataFrame, list[Problem], list[str]]:
    """Return the rows of the plate map for the wells of the dataset."""
    platemap = read_platemap(options)
    wells = [str(row[BAG]) for row in old]
    table, found = join(wells, platemap, plate=plate, not_imaged=options.not_imaged)
    lost = [problem for problem in found if problem.reason == "well_not_in_platemap"]
    if lost:
        raise InputError(
            "\n".join(problem.detail for problem in lost[:5])
            + "\nan update keeps every well of the dataset; add the rows, or ingest into another folder"
        )
    by_well = dict(zip(table[WELL], table[CONTROL_TYPE], strict=True))
    for row in old:
        was, now = row[CONTROL_TYPE] == "empty", by_well[row[BAG]] == "empty"
        if was != now:
            what = "was read, and the map calls it 'empty' now" if now else "was 'empty' and not read"
            raise InputError(
                f"plate {plate} well {row[BAG]}: {what}; an update reads no image and removes none: ingest into "
                "another folder"
            )
    kept = [] if options.partial else [problem for problem in found if problem.reason == "well_without_images"]
    joined = join_note(wells, platemap, plate=plate, not_imaged=options.not_imaged)
    return table, kept, [*platemap.attrs["notes"], joined]


def _rows(old: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> list[dict[str, Any]]:
    labels = {str(row[WELL]): {str(k): str(v) for k, v in row.items()} for row in table.to_dict("records")}
    return [
        {
            "bag": row["bag"],
            SOURCE: row[SOURCE],
            BAG: row[BAG],
            **labels[row[BAG]],
            **{name: row[name] for name in COUNTS},
        }
        for row in old
    ]


def _cells(
    options: Any,
    plate: str,
    old: Sequence[Mapping[str, Any]],
    table: pd.DataFrame,
    cells: pd.DataFrame,
    markers: npt.NDArray[np.float32] | None,
    names: Sequence[str],
) -> tuple[list[CellCounts], list[Problem], list[str]]:
    """Join the tables of cells of a plate with the nuclei of the dataset, into ``markers``."""
    files, problems = cell_tables(options, plate, table)
    bags = {str(row[BAG]): row for row in old}
    here = {well: cells[cells["bag"] == bags[well]["bag"]] for well in files}
    notes = check_cell_tables(options, plate, files, {well: sorted(set(part["site"])) for well, part in here.items()})
    counts = []
    for well, file in files.items():
        part = here[well]
        if not bags[well]["n_sites"]:
            continue
        read = cells_of(options, file, plate, well, int(bags[well]["n_sites"]))
        matched, sites = 0, []
        for site in sorted(set(part["site"])):
            rows = part[part["site"] == site]
            y, x = rows["y_px"].to_numpy(np.float32), rows["x_px"].to_numpy(np.float32)
            values, n = site_markers(names, options, read, int(site), y, x)
            if markers is not None:
                markers[rows.index.to_numpy()] = values
            matched += n
            sites.append((y, x))
        check_matches(options, read, (file, plate, well), sites, matched)
        counts.append(
            CellCounts(
                plate=plate,
                well=well,
                cells=len(read.y_px),
                without_position=read.without_position,
                nuclei=len(part),
                matched=matched,
            )
        )
    return counts, problems, list(notes)


def _label_columns(root: Path) -> tuple[str, ...]:
    """Return the columns of text that each tile has."""
    with open_parquet(root / TILES_NAME) as file:
        names = file.schema_arrow.names
    return tuple(name for name in names if name not in TILE_COLUMNS and not name.startswith(MARKER_PREFIX))


def _notes(manifest: Manifest, tables: _Tables) -> tuple[str, ...]:
    """Return the notes of the export that stay true, and those of the new tables."""
    files = _table_files(manifest.source)
    old = [note for note in manifest.notes if not _OLD_NOTES.match(note) and not note.startswith(files)]
    return tuple(dict.fromkeys([*old, *tables.notes]))


def _table_files(source: Mapping[str, Any]) -> tuple[str, ...]:
    found = [str(entry.get("table", "")) for entry in source.get("omics", ())]
    for entry in source.get("plates", ()):
        found.append(str(entry["platemap"]["path"]))
    return tuple(f"{name}:" for name in found if name)
