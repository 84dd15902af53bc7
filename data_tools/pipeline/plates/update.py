"""A finished dataset of plates gets other omics, plate-map columns or tables of cells; its pixels stay as they are.

The export is not needed. Tables become what an ingest with the new config makes; samples in tarballs keep old labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data_tools.omics import Target, read_omics
from data_tools.pipeline.build.changes import changed_keys, of_pixels, value_at
from data_tools.pipeline.build.facts import CellCounts
from data_tools.pipeline.build.folder import only_writer, record
from data_tools.pipeline.build.joining import QC_INDEX_NAME, skipped, tile_index
from data_tools.pipeline.build.parts import bags_table, tiles_schema, write_tables
from data_tools.pipeline.build.staged import finish, put_in_place, staging
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.ingest import write_targets
from data_tools.pipeline.plates.measured import check_cell_tables
from data_tools.pipeline.plates.survey import cell_tables, targets_of
from data_tools.pipeline.plates.task import cells_of, check_matches, site_markers
from data_tools.platemap import join, join_note, read_platemap
from data_tools.readers.problem import Problem, relative_text
from framework.data.format.checks import check_content
from framework.data.format.schema import (
    BAG,
    BAGS_NAME,
    CELLS_NAME,
    CONTROL_TYPE,
    MARKER_PREFIX,
    SOURCE,
    TILE_COLUMNS,
    TILES_NAME,
    WELL,
    Change,
    FileRecord,
    Manifest,
    read_manifest,
)
from framework.durable import write_json
from framework.errors import DatasetError, InputError
from framework.files.json_file import read_mapping
from framework.files.parquet import open_parquet
from framework.progress import OnProgress
from framework.result import Result

_OF_TABLES = ("well_not_in_platemap", "well_without_images", "missing_cell_table", "cells_without_well")
"""Reasons of problems that the tables of an update have, or no longer have."""
_OLD_NOTES = re.compile(
    r"(?:omics '|plate .*: (?:\d+ of \d+ wells with images|\d+ cells |no cell |marker ')|\d+ wells of)"
)
_COUNTS = ("n_sites", "n_cells", "n_tiles")


@dataclass(frozen=True, kw_only=True, repr=False)
class UpdateSummary(Result):
    """What an update did.

    Attributes:
        state: ``updated`` or ``nothing_to_do``.
        out: the dataset folder.
        changed: dotted keys of the config that differ.
        remade: files that were made again.
        wells: whose labels are others than before.
        targets: omics targets.
        markers: measurements stored with each tile.
        shards: untouched.
        notes: what was joined and left out.
    """

    state: str
    out: str
    changed: tuple[str, ...]
    remade: tuple[str, ...]
    wells: int
    targets: tuple[str, ...]
    markers: tuple[str, ...]
    shards: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """What the new tables say.

    Attributes:
        rows: of bags.parquet.
        markers: float32 (cells, markers) of every row of cells.parquet; None where no marker is stored.
        cells: how tables of cells met the nuclei.
        targets: of the omics tables.
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
    """Make the tables of a finished dataset again with another config; shards stay byte by byte.

    Args:
        config: the new one.
        root: folder of the dataset, absolute.
        base: folder that messages leave out of file names.
        report: called with ("tables", done, total).

    Raises:
        DatasetError: no finished dataset of plates, a damaged table, a key whose change would change pixels, or a full
            disk. The dataset is then as it was.
        InputError: a table that cannot be used, or a plate map that would take wells out or add some.
    """
    read_manifest(root)  # a folder that holds no dataset is refused before anything is made in it
    with only_writer(root):
        finish(root)
        manifest = read_manifest(root)
        changed = _checked(manifest, config, root)
        report("tables", 0, 3)
        tables = _tables(config, manifest, root, base)
        if config.on_error == "raise" and tables.problems:
            raise InputError("\n".join(problem.detail for problem in tables.problems[:5]))
        report("tables", 1, 3)
        old_rows = _bag_rows(root)
        with staging(root) as folder:
            made = _write(config, manifest, tables, root, folder)
            report("tables", 2, 3)
            remade = tuple(item.name for item in made if item not in manifest.files)
            owned = {item.name for item in manifest.files if item.name.startswith(("targets/", "qc/omics/"))}
            gone = owned - {item.name for item in made}
            wells = sum(old != new for old, new in zip(old_rows, tables.rows, strict=True))
            if changed or remade or gone:
                new = _manifest(config, manifest, tables, made, gone, changed, remade)
                put_in_place(root, new)
                for name in gone:
                    (root / name).unlink(missing_ok=True)
        report("tables", 3, 3)
    return UpdateSummary(
        state="updated" if changed or remade or gone else "nothing_to_do",
        out=str(root),
        changed=tuple(changed),
        remade=tuple(sorted((*remade, *gone))),
        wells=wells,
        targets=tuple(target.name for target in tables.targets),
        markers=config.markers,
        shards=len(manifest.shards),
        notes=tables.notes,
    )


def _checked(manifest: Manifest, config: IngestConfig, root: Path) -> list[str]:
    """Return the keys that differ. Raises DatasetError: pixels depend on one of them."""
    if manifest.source.get("kind", "plates") != "plates":
        raise DatasetError(f"{root}: a dataset of cells; its tables decide which cells there are: ingest it again")
    changed = changed_keys(manifest.source, config.plain())
    shaping = of_pixels(changed)
    if shaping:
        raise DatasetError(
            f"{root}: {', '.join(shaping)} {'differs' if len(shaping) == 1 else 'differ'} from the dataset, and pixels "
            "depend on it; update changes 'omics', 'plates.N.platemap' and 'plates.N.cells' alone: ingest into "
            "another folder, or take the former value"
        )
    records = {item.name: item for item in manifest.files}
    for name in (BAGS_NAME, TILES_NAME, CELLS_NAME):
        check_content(root / name, records[name])
    return changed


def _bag_rows(root: Path) -> list[dict[str, Any]]:
    with open_parquet(root / BAGS_NAME) as table:
        rows: list[dict[str, Any]] = table.read().to_pylist()
    return rows


def _tables(config: IngestConfig, manifest: Manifest, root: Path, base: Path) -> _Tables:
    old = _bag_rows(root)
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
    labels = [{key: row[key] for key in row if key not in _COUNTS} for row in rows]
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
    return table, kept, [*platemap.attrs["notes"], join_note(wells, platemap, plate=plate)]


def _rows(old: Sequence[Mapping[str, Any]], table: pd.DataFrame) -> list[dict[str, Any]]:
    labels = {str(row[WELL]): {str(k): str(v) for k, v in row.items()} for row in table.to_dict("records")}
    return [
        {
            "bag": row["bag"],
            SOURCE: row[SOURCE],
            BAG: row[BAG],
            **labels[row[BAG]],
            **{name: row[name] for name in _COUNTS},
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


def _write(config: IngestConfig, manifest: Manifest, tables: _Tables, root: Path, folder: Path) -> list[FileRecord]:
    """Write the new files into the staging folder, and return their records; what stays the same has the same one."""
    bags = bags_table(tables.rows)
    write_tables(folder / BAGS_NAME, [bags], bags.schema)
    schema = tiles_schema(config.markers, _label_columns(root))
    write_tables(folder / TILES_NAME, _with_markers(root, config.markers, tables.markers, schema), schema)
    index = tile_index(folder, coded=manifest.codec is not None)
    targets = write_targets(tables.targets, folder)
    told = read_mapping(root / QC_INDEX_NAME, what="the list of figures of a dataset", then="ingest again")
    (folder / QC_INDEX_NAME).parent.mkdir(exist_ok=True)
    write_json(
        folder / QC_INDEX_NAME,
        {
            **told,
            "cells": [asdict(each) for each in tables.cells],
            "targets": targets,
            "notes": list(_notes(manifest, tables)),
        },
    )
    samples = [str(facts["samples_file"]) for facts in targets.values()]
    names = [BAGS_NAME, TILES_NAME, QC_INDEX_NAME, *(f"targets/{name}.h5ad" for name in targets), *samples]
    return [index, *(record(folder / name, folder) for name in names)]


def _label_columns(root: Path) -> tuple[str, ...]:
    """Return the columns of text that each tile has."""
    with open_parquet(root / TILES_NAME) as file:
        names = file.schema_arrow.names
    return tuple(name for name in names if name not in TILE_COLUMNS and not name.startswith(MARKER_PREFIX))


def _with_markers(
    root: Path, names: Sequence[str], markers: npt.NDArray[np.float32] | None, schema: pa.Schema
) -> Iterator[pa.Table]:
    """Yield the tiles, row group by row group, with other markers."""
    with open_parquet(root / TILES_NAME) as file:
        for number in range(file.num_row_groups):
            part = file.read_row_group(number)
            cell = part["cell"].to_numpy()
            columns = []
            for field in schema:
                if field.name.startswith(MARKER_PREFIX) and markers is not None:
                    taken = names.index(field.name.removeprefix(MARKER_PREFIX))
                    columns.append(pa.array(markers[cell, taken], type=field.type, from_pandas=False))
                else:
                    columns.append(part[field.name].combine_chunks())
            yield pa.Table.from_arrays(columns, schema=schema)


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


def _manifest(
    config: IngestConfig,
    manifest: Manifest,
    tables: _Tables,
    made: Sequence[FileRecord],
    gone: set[str],
    changed: Sequence[str],
    remade: Sequence[str],
) -> Manifest:
    fresh = {item.name: item for item in made}
    files = {item.name: item for item in manifest.files if item.name not in gone} | fresh
    kept = [item for item in manifest.skipped if item.reason not in _OF_TABLES]
    change = Change(
        digest=manifest.digest or "",
        changed=tuple(changed),
        before={key: json.loads(json.dumps(value_at(manifest.source, key))) for key in changed},
        remade=tuple(sorted((*remade, *gone))),
    )
    return manifest.model_copy(
        update={
            "source": config.plain(),
            "markers": config.markers,
            "targets": tuple(target.name for target in tables.targets),
            "files": tuple(sorted(files.values(), key=lambda item: item.name)),
            "skipped": (*kept, *(skipped(problem) for problem in tables.problems)),
            "notes": _notes(manifest, tables),
            "history": (*manifest.history, change),
        }
    ).sealed()
