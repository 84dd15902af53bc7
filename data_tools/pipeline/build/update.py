"""A finished dataset gets other tables, whatever kind it is of; its pixels stay as they are.

A kind says what its tables hold now, and the steps here write the files that differ and put them in place together.
Samples in tarballs keep old labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from data_tools.pipeline.build.changes import changed_keys, of_pixels, value_at
from data_tools.pipeline.build.config import IngestBase
from data_tools.pipeline.build.folder import bag_rows, only_writer, record
from data_tools.pipeline.build.joining import QC_INDEX_NAME, skipped, tile_index
from data_tools.pipeline.build.parts import bags_table, tiles_schema, write_tables
from data_tools.pipeline.build.staged import finish, put_in_place, staging
from data_tools.readers.problem import Problem
from framework.data.format.checks import check_content
from framework.data.format.schema import (
    BAGS_NAME,
    CELLS_NAME,
    TILES_NAME,
    Change,
    FileRecord,
    Manifest,
    Skipped,
    read_manifest,
)
from framework.durable import write_json
from framework.errors import DatasetError, InputError
from framework.files.json_file import read_mapping
from framework.files.parquet import open_parquet
from framework.progress import OnProgress
from framework.result import Result

COUNTS = ("n_sites", "n_cells", "n_tiles")
"""Columns of bags.parquet that an update takes over."""
_CHANGED = {
    "plates": "'omics', 'plates.N.platemap' and 'plates.N.cells'",
    "cells": "'sources.N.tables' and 'markers'",
}
_SHOWN_PROBLEMS = 5
_MADE_OF_TARGETS = ("targets/", "qc/omics/")


@dataclass(frozen=True, kw_only=True, repr=False)
class UpdateSummary(Result):
    """What an update did.

    Attributes:
        state: ``updated`` or ``nothing_to_do``.
        out: the dataset folder.
        changed: dotted keys of the config that differ.
        remade: files that were made again.
        bags_changed: bags whose labels are others than before.
        tiles_changed: tiles whose own labels or measurements are others than before.
        targets: omics targets.
        markers: measurements stored with each tile.
        shards_untouched: all of them.
        notes: what was joined and left out.
    """

    state: str
    out: str
    changed: tuple[str, ...]
    remade: tuple[str, ...]
    bags_changed: int
    tiles_changed: int
    targets: tuple[str, ...]
    markers: tuple[str, ...]
    shards_untouched: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NewTables:
    """What the tables of a dataset hold now.

    Attributes:
        rows: rows of bags.parquet, in order; see ``COUNTS``.
        of_cells: column of tiles.parquet -> its value for each row of cells.parquet, (cells,); others stay.
        markers: measurements stored with each tile, in order.
        labels: columns of text stored with each tile, in order.
        targets: names of omics targets.
        write: writes files that not every dataset has into a folder; returns their names and what ``qc/index.json``
            is to say of them.
        told: further entries of ``qc/index.json``.
        problems: what cannot be used.
        kept: what was left out before and still is.
        said: sentences on the new tables.
        notes: all of the dataset.
    """

    rows: list[dict[str, Any]]
    of_cells: Mapping[str, npt.NDArray[Any]]
    markers: tuple[str, ...]
    labels: tuple[str, ...]
    targets: tuple[str, ...] = ()
    write: Callable[[Path], tuple[list[str], dict[str, Any]]] = field(default=lambda _: ([], {}))
    told: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...]
    kept: tuple[Skipped, ...]
    said: tuple[str, ...]
    notes: tuple[str, ...]


def update_tables(
    config: IngestBase, root: Path, kind: str, report: OnProgress, tables_of: Callable[[Manifest], NewTables]
) -> UpdateSummary:
    """Make the tables of a finished dataset again with another config; shards stay byte by byte.

    Args:
        config: the new one.
        root: folder of the dataset, absolute.
        kind: kind of the dataset, as the config names it.
        report: called with ("tables", done, total).
        tables_of: reads the new tables, given what the dataset says of itself.

    Raises:
        DatasetError: no finished dataset of this kind, a damaged table, a key whose change would change pixels, or a
            full disk. The dataset is then as it was.
        InputError: a table that cannot be used.
    """
    read_manifest(root)  # a folder that holds no dataset is refused before anything is made in it
    with only_writer(root):
        finish(root)
        manifest = read_manifest(root)
        changed = _checked(manifest, config, root, kind)
        report("tables", 0, 3)
        tables = tables_of(manifest)
        if config.on_error == "raise" and tables.problems:
            raise InputError("\n".join(problem.detail for problem in tables.problems[:_SHOWN_PROBLEMS]))
        report("tables", 1, 3)
        bags = sum(old != new for old, new in zip(bag_rows(root), tables.rows, strict=True))
        with staging(root) as folder:
            made, tiles = _write(manifest, tables, root, folder)
            report("tables", 2, 3)
            remade = tuple(item.name for item in made if item not in manifest.files)
            owned = {item.name for item in manifest.files if item.name.startswith(_MADE_OF_TARGETS)}
            gone = owned - {item.name for item in made}
            if changed or remade or gone:
                put_in_place(root, _manifest(config, manifest, tables, made, gone, changed, remade))
                for name in gone:
                    (root / name).unlink(missing_ok=True)
        report("tables", 3, 3)
    return UpdateSummary(
        state="updated" if changed or remade or gone else "nothing_to_do",
        out=str(root),
        changed=tuple(changed),
        remade=tuple(sorted((*remade, *gone))),
        bags_changed=bags,
        tiles_changed=tiles,
        targets=tables.targets,
        markers=tables.markers,
        shards_untouched=len(manifest.shards),
        notes=tables.said,
    )


def _checked(manifest: Manifest, config: IngestBase, root: Path, kind: str) -> list[str]:
    """Return the keys that differ. Raises DatasetError: pixels depend on one of them."""
    found = manifest.source.get("kind", "plates")
    if found != kind:
        raise DatasetError(
            f"{root}: a dataset of {found}, but the config is for {kind}; name the config that the dataset "
            "was made with"
        )
    changed = changed_keys(manifest.source, config.plain())
    shaping = of_pixels(changed)
    if shaping:
        raise DatasetError(
            f"{root}: {', '.join(shaping)} {'differs' if len(shaping) == 1 else 'differ'} from the dataset, "
            f"and the pixels depend on it; update only changes {_CHANGED[kind]}; ingest into another folder, "
            "or restore the former value"
        )
    records = {item.name: item for item in manifest.files}
    for name in (BAGS_NAME, TILES_NAME, CELLS_NAME):
        check_content(root / name, records[name])
    return changed


def _write(manifest: Manifest, tables: NewTables, root: Path, folder: Path) -> tuple[list[FileRecord], int]:
    """Write the new files into the staging folder; return their records, and how many tiles have other values."""
    bags = bags_table(tables.rows)
    write_tables(folder / BAGS_NAME, [bags], bags.schema)
    schema = tiles_schema(tables.markers, tables.labels)
    tiles = _Tiles(root=root, of_cells=tables.of_cells, schema=schema)
    write_tables(folder / TILES_NAME, tiles.parts(), schema)
    index = tile_index(folder, coded=manifest.codec is not None)
    further, told = tables.write(folder)
    before = read_mapping(root / QC_INDEX_NAME, what="the list of figures of a dataset", then="ingest again")
    (folder / QC_INDEX_NAME).parent.mkdir(exist_ok=True)
    write_json(folder / QC_INDEX_NAME, {**before, **told, **tables.told, "notes": list(tables.notes)})
    names = [BAGS_NAME, TILES_NAME, QC_INDEX_NAME, *further]
    return [index, *(record(folder / name, folder) for name in names)], tiles.changed


@dataclass(kw_only=True)
class _Tiles:
    """The rows of tiles.parquet with other values.

    Attributes:
        root: folder of the dataset.
        of_cells: as of ``NewTables``.
        schema: schema of the new table.
        changed: rows so far that differ from those before.
    """

    root: Path
    of_cells: Mapping[str, npt.NDArray[Any]]
    schema: pa.Schema
    changed: int = 0

    def parts(self) -> Iterator[pa.Table]:
        """Yield the tiles, row group by row group."""
        with open_parquet(self.root / TILES_NAME) as file:
            for number in range(file.num_row_groups):
                part = file.read_row_group(number)
                cell = part["cell"].to_numpy()
                columns = []
                for each in self.schema:
                    if each.name in self.of_cells:
                        columns.append(pa.array(self.of_cells[each.name][cell], type=each.type, from_pandas=False))
                    else:
                        columns.append(part[each.name].combine_chunks())
                made = pa.Table.from_arrays(columns, schema=self.schema)
                self.changed += _differing(part, made)
                yield made


def _differing(old: pa.Table, new: pa.Table) -> int:
    """Return how many rows differ; all where there are other columns."""
    if old.schema.names != new.schema.names:
        return len(new)
    one, other = (table.to_pandas() for table in (old, new))
    return int((~((one == other) | (one.isna() & other.isna())).all(axis=1)).sum())


def _manifest(
    config: IngestBase,
    manifest: Manifest,
    tables: NewTables,
    made: Sequence[FileRecord],
    gone: set[str],
    changed: Sequence[str],
    remade: Sequence[str],
) -> Manifest:
    fresh = {item.name: item for item in made}
    files = {item.name: item for item in manifest.files if item.name not in gone} | fresh
    change = Change(
        digest=manifest.digest or "",
        changed=tuple(changed),
        before={key: json.loads(json.dumps(value_at(manifest.source, key))) for key in changed},
        remade=tuple(sorted((*remade, *gone))),
    )
    return manifest.model_copy(
        update={
            "source": config.plain(),
            "markers": tables.markers,
            "targets": tables.targets,
            "files": tuple(sorted(files.values(), key=lambda item: item.name)),
            "skipped": (*tables.kept, *(skipped(problem) for problem in tables.problems)),
            "notes": tables.notes,
            "history": (*manifest.history, change),
        }
    ).sealed()
