"""What there is to ingest of single cells: listings, tables and labels joined, sorted into bags; nothing is decoded.

The result is columns: a frame with a row a cell, sorted by bag, and a frame with a row a bag. ``--dry-run`` prints it,
the build works through it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.build.kind import check_pixel_sizes
from data_tools.pipeline.build.marker_values import stored_values, what_is_missing
from data_tools.pipeline.cells.config import GROUP, CellsIngestConfig, CellSourceConfig
from data_tools.pipeline.cells.tables import OpenTable, join_table, open_table
from data_tools.readers.cells import CELL_READERS, CellListing, CellProblem, CellReader
from data_tools.readers.cells.base import CELL, PLACE_COLUMNS, TEXT
from data_tools.readers.problem import Problem, relative_text
from data_tools.shards import random_order
from framework.data.format.schema import (
    BAG_COLUMNS,
    CONTROL_TYPE,
    CONTROL_TYPES,
    PERTURBATION,
    PLATE,
    STIMULATION,
    WELL,
)
from framework.errors import InputError, did_you_mean

_SKIP = "or set 'on_error: skip' to leave the cell out"


@dataclass(frozen=True, kw_only=True)
class CellExport:
    """One export.

    Attributes:
        plate: its name.
        cells: a row a cell that is used, sorted by bag (column ``bag``, row of bags.parquet); ``Metadata_*`` text,
            ``site``, ``y_px``, ``x_px``, and the dataset's markers as ``Marker_*``.
        places: the same rows, for the reader.
        listing: as the reader gave it, for facts about the export.
        few: bool (rows,), cells of bags under ``min_cells``, which are not read.
    """

    plate: str
    cells: pd.DataFrame
    places: pd.DataFrame
    listing: CellListing
    few: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class CellSurvey:
    """All exports in config order.

    Attributes:
        exports: one a source.
        bags: bags.parquet without the counts.
        labels: ``Metadata_*`` columns that differ within bags: they are kept with the tiles.
        problems: what cannot be used.
        notes: sentences worth showing.
        matched: ``plate: table: cells with a row``.
    """

    exports: tuple[CellExport, ...]
    bags: pd.DataFrame
    labels: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    matched: tuple[str, ...]

    @property
    def pixel_size_um(self) -> float | None:
        """The pixel size of the dataset; None where an export does not state it."""
        sizes = [export.listing.pixel_size_um for export in self.exports]
        return None if None in sizes else sizes[0]

    @property
    def bag_counts(self) -> tuple[int, ...]:
        """Bags of each export."""
        return tuple(int((self.bags[PLATE] == export.plate).sum()) for export in self.exports)


def reader_of(source: CellSourceConfig) -> CellReader:
    """Return the reader of an export."""
    return CELL_READERS.get(source.reader.name).build(source.reader)


def problem_of(plate: str, well: str | None, found: CellProblem) -> Problem:
    """Return a reader's problem as the sentence of the ingest."""
    where = f"plate {plate}" + (f" bag {well}" if well else "")
    return Problem(
        plate=plate, well=well, file=found.file, reason=found.reason, detail=f"{found.detail}, {_SKIP}; {where}"
    )


def survey_cells(config: CellsIngestConfig, base: Path) -> CellSurvey:
    """List what the config names.

    Args:
        config: of the ingest.
        base: folder that messages leave out of file names.

    Raises:
        InputError: nothing can be made of it whatever ``on_error`` says: no cells, an unknown channel, column or
            measurement, exports of different pixel sizes.
    """
    # All tables before the first export is listed: a column that is not there is said within seconds, not hours.
    tables = [tuple(open_table(table) for table in source.tables) for source in config.sources]
    found = [_Source(config, source, mine) for source, mine in zip(config.sources, tables, strict=True)]
    check_pixel_sizes("source", {item.source.plate: item.listing.pixel_size_um for item in found})
    _check_measurements(config, found)
    bags, first = [], 0
    for item in found:
        first = item.into_bags(first)
        bags.append(item.bags)
    table = pd.concat(bags, ignore_index=True).fillna("")
    varying = sorted({name for item in found for name in item.varying} | {CELL})
    # A column that differs within bags of one export is no fact about the bags of another.
    table = table.drop(columns=[name for name in varying if name in table.columns])
    return CellSurvey(
        exports=tuple(item.export(varying, config) for item in found),
        bags=table[[*(name for name in BAG_COLUMNS if name in table), *(n for n in table if n not in BAG_COLUMNS)]],
        labels=tuple(varying),
        problems=tuple(problem.relative_to(base) for item in found for problem in item.problems),
        notes=tuple(relative_text(note, base) for item in found for note in item.notes),
        matched=tuple(relative_text(text, base) for item in found for text in item.matched),
    )


class _Source:
    """One export on its way from listing to bags."""

    def __init__(self, config: CellsIngestConfig, source: CellSourceConfig, tables: Sequence[OpenTable]) -> None:
        self.config, self.source = config, source
        self.listing = reader_of(source).survey(config.channels)
        self.cells = self.listing.cells.reset_index(drop=True)
        self.problems = [problem_of(source.plate, None, item) for item in self.listing.problems]
        self.notes = list(self.listing.notes)
        self.matched: list[str] = []
        self.row = np.arange(len(self.cells))
        self.varying: set[str] = set()
        for table in tables:
            self.cells, notes = join_table(table, self.cells, source.plate)
            self.matched += [f"{source.plate}: {note}" for note in notes]
        self._drop_duplicates()
        self._keep()
        self._drop_without_bag()
        if not len(self.cells):
            raise InputError(self._no_cells())
        self._count_missing()

    @property
    def metadata(self) -> list[str]:
        """The columns of text."""
        return [str(name) for name in self.cells.columns if str(name).startswith("Metadata_")]

    @property
    def measurements(self) -> list[str]:
        """The columns of numbers."""
        return [str(name) for name in self.cells.columns if name not in (*self.metadata, *PLACE_COLUMNS)]

    def into_bags(self, first: int) -> int:
        """Sort the cells into bags numbered from ``first``; return the number after the last."""
        bags, by = self.config.bags, list(self.config.bags.by)
        code, names = self._codes(by)
        self.count = self._counts(code)
        if bags.groups is not None:
            code, names = self._dealt(code, names, bags.groups)
            by = [*by, GROUP]
        order = np.argsort(code, kind="stable")
        self.cells, self.row, self.count = self.cells.iloc[order], self.row[order], self.count[order]
        code = code[order]
        self.cells = self.cells.reset_index(drop=True)
        starts = np.searchsorted(code, np.arange(len(names)))
        columns: dict[str, Any] = {
            "bag": first + np.arange(len(names)),
            PLATE: self.source.plate,
            WELL: names,
            PERTURBATION: "",
            STIMULATION: "",
            CONTROL_TYPE: "treatment",
        }
        for name in self.metadata:
            if name in (PLATE, WELL):
                raise InputError(
                    f"source '{self.source.plate}': a column of the cells is called {name}, which is the name of the "
                    "export or bag; rename the group or label"
                )
            number = pd.factorize(self.cells[name])[0]
            if np.all(number == number[starts][code]):
                columns[name] = self.cells[name].iloc[starts].to_numpy(dtype=object)
            elif name in columns:
                raise InputError(f"source '{self.source.plate}': {name} differs within a bag; add it to 'bags.by'")
            else:
                self.varying.add(name)
        self.bags = pd.DataFrame(columns)
        self._check_control_types()
        self.cells["bag"] = (first + code).astype(np.int32)
        return first + len(names)

    def export(self, labels: Sequence[str], config: CellsIngestConfig) -> CellExport:
        """Return the cells with the columns every export of the dataset has."""
        cells: dict[str, Any] = {"bag": self.cells["bag"].to_numpy()}
        for name in labels:
            cells[name] = self.cells[name] if name in self.cells else pd.Series([""] * len(self.cells), dtype=TEXT)
        for name, default in zip(PLACE_COLUMNS, (0, np.nan, np.nan), strict=True):
            cells[name] = self.cells[name].to_numpy() if name in self.cells else np.full(len(self.cells), default)
        for marker, name in config.markers.items():
            has = name in self.cells
            values = stored_values(self.cells[name].to_numpy(np.float64)) if has else np.float32(np.nan)
            cells[f"Marker_{marker}"] = np.broadcast_to(values, len(self.cells))
        return CellExport(
            plate=self.source.plate,
            cells=pd.DataFrame(cells),
            places=self.listing.places.iloc[self.row].reset_index(drop=True),
            listing=self.listing,
            few=self.count < config.bags.min_cells,
        )

    def _drop(self, keep: npt.NDArray[np.bool_]) -> None:
        self.cells, self.row = self.cells[keep].reset_index(drop=True), self.row[keep]

    def _drop_duplicates(self) -> None:
        keys = [name for name in (*self.metadata, "site") if name in self.cells]
        again = self.cells.duplicated(keys).to_numpy()
        for values in self.cells.loc[again, keys].itertuples(index=False):
            shown = ", ".join(f"{name} {value}" for name, value in zip(keys, values, strict=True))
            text = f"source '{self.source.plate}': a second cell with {shown}; remove one of them"
            self.problems.append(problem_of(self.source.plate, None, CellProblem(reason="duplicate_cell", detail=text)))
        self._drop(~again)

    def _keep(self) -> None:
        for name, bounds in self.config.keep.items():
            _known_measurement(name, self.measurements, "keep", f"source '{self.source.plate}'")
            values = self.cells[name].to_numpy(np.float64)
            low = -np.inf if bounds.min is None else bounds.min
            high = np.inf if bounds.max is None else bounds.max
            inside = (values >= low) & (values <= high)
            out = len(inside) - int(inside.sum())
            self.notes.append(f"plate {self.source.plate}: {out} of {len(inside)} cells left out by keep.{name}")
            self._drop(inside)

    def _count_missing(self) -> None:
        for marker, name in self.config.markers.items():
            if name in self.cells:
                values = self.cells[name].to_numpy(np.float64)
                text = what_is_missing(values, f"marker '{marker}' ({name})", self.cells[CELL])
                self.notes += [f"plate {self.source.plate}: {text}"] if text else []

    def _drop_without_bag(self) -> None:
        for name in (*self.config.bags.by, *(self.config.bags.count_by or ()), *self.config.bags.together):
            if name not in self.cells:
                raise InputError(
                    f"source '{self.source.plate}': 'bags' names {name}, which is no column of its cells; they have "
                    f"{', '.join(self.metadata)}" + did_you_mean(name, self.metadata)
                )
            bare = (self.cells[name].fillna("") == "").to_numpy(bool)
            if bare.any():
                cell = self.cells[CELL][bare].iloc[0]
                text = f"source '{self.source.plate}': {int(bare.sum())} cells have no {name}, as cell {cell}"
                files = [str(each.table.path) for each in self.source.tables if name in each.labels]
                text += f": {files[0]} has no row for them, or a blank there" if files else ""
                self.problems.append(problem_of(self.source.plate, None, CellProblem(reason="no_label", detail=text)))
                self._drop(~bare)

    def _codes(self, by: list[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Return the bag of each cell, int64 (n,), bags in natural order, and the names of the bags."""
        if not by:
            return np.zeros(len(self.cells), dtype=np.int64), ["all"]
        grouped = self.cells.groupby(by, sort=False)
        code = grouped.ngroup().to_numpy()
        firsts = np.unique(code, return_index=True)[1]
        values = [tuple(map(str, row)) for row in self.cells[by].iloc[firsts].itertuples(index=False)]
        order = sorted(range(len(values)), key=lambda bag: [_natural(value) for value in values[bag]])
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        names = ["/".join(values[bag]) for bag in order]
        twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
        if twice:
            raise InputError(f"source '{self.source.plate}': two bags are called '{twice[0]}'; rename their labels")
        return rank[code], names

    def _counts(self, code: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return for each cell how many cells it is counted with."""
        bags = self.config.bags
        if self.listing.several:
            if bags.count_by is not None:
                raise InputError(
                    f"source '{self.source.plate}': its reader finds cells as it reads, so they are counted by bag; "
                    "remove 'bags.count_by'"
                )
            return np.full(len(self.cells), np.iinfo(np.int64).max)
        if bags.count_by:
            code = self.cells.groupby(list(bags.count_by), sort=False).ngroup().to_numpy()
        elif bags.count_by is not None:
            code = np.zeros(len(self.cells), dtype=np.int64)
        counts: npt.NDArray[Any] = np.bincount(code)[code]
        return counts

    def _dealt(
        self, code: npt.NDArray[np.int64], names: list[str], groups: int
    ) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Deal the cells of each bag into groups of equal size, give or take one; those without a cell get no bag."""
        group = np.empty(len(code), dtype=np.int64)
        together = list(self.config.bags.together)
        for bag, name in enumerate(names):
            mine = np.flatnonzero(code == bag)
            unit: npt.NDArray[np.integer[Any]] = np.arange(len(mine))
            if together:
                unit = self.cells.iloc[mine].groupby(together, sort=False).ngroup().to_numpy()
            units = int(unit.max()) + 1
            dealt = np.empty(units, dtype=np.int64)
            order = random_order(units, self.config.seed, "groups", self.source.plate, name)
            dealt[order] = np.arange(units) % groups
            group[mine] = dealt[unit]
        width = len(str(groups - 1))
        self.cells[GROUP] = pd.Series([f"{number:0{width}d}" for number in group], dtype=TEXT)
        used, fine = np.unique(code * groups + group, return_inverse=True)
        return fine.astype(np.int64), [f"{names[key // groups]}/{key % groups:0{width}d}" for key in used]

    def _check_control_types(self) -> None:
        for value in self.bags[CONTROL_TYPE].unique():
            if value not in CONTROL_TYPES:
                raise InputError(
                    f"source '{self.source.plate}': {CONTROL_TYPE} is '{value}'; expected one of "
                    f"{', '.join(CONTROL_TYPES)}" + did_you_mean(str(value), CONTROL_TYPES)
                )

    def _no_cells(self) -> str:
        reasons = [*self.notes, *(problem.detail for problem in self.problems[:3])]
        return "\n".join([f"source '{self.source.plate}': no cell is left of {len(self.listing)}", *reasons])


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which 2 comes before 10."""
    parts = re.split(r"([0-9]+)", text)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]


def _check_measurements(config: CellsIngestConfig, found: Sequence[_Source]) -> None:
    known = list(dict.fromkeys(name for item in found for name in item.measurements))
    for marker, name in config.markers.items():
        _known_measurement(name, known, f"markers.{marker}", "the sources")
        values = [item.cells[name].to_numpy(np.float64) for item in found if name in item.cells]
        if not any(np.isfinite(stored_values(part)).any() for part in values):
            raise InputError(f"'markers.{marker}': no cell has a number in '{name}'; name another measurement")


def _known_measurement(name: str, known: Sequence[str], key: str, where: str) -> None:
    if name not in known:
        shown = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "") or "none; name some in 'tables'"
        raise InputError(f"'{key}': no measurement '{name}' in {where}; there is {shown}" + did_you_mean(name, known))
