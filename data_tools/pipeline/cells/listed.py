"""The cells of one export on their way from its listing to bags: each step hands on what it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.cells.config import CellsIngestConfig, CellSourceConfig
from data_tools.pipeline.cells.tables import OpenTable, join_table, what_is_missing
from data_tools.readers.cells import CELL_READERS, CellListing, CellProblem, CellReader
from data_tools.readers.cells.base import CELL, PLACE_COLUMNS
from data_tools.readers.problem import Problem
from framework.errors import InputError, did_you_mean

_SKIP = "or set 'on_error: skip' to leave the cell out"
_SHOWN_PROBLEMS, _SHOWN_NAMES = 3, 8


@dataclass(frozen=True, kw_only=True)
class ListedCells:
    """The cells of one export that are left, and what was said on the way.

    Attributes:
        source: how the export is read.
        listing: as the reader gave it.
        cells: one row per cell that is left, with all labels and measurements.
        row: int64 (n,), the row of each cell in ``listing.places``.
        problems: what was left out.
        notes: sentences worth showing.
        matched: ``source: table: cells with a row``.
    """

    source: CellSourceConfig
    listing: CellListing
    cells: pd.DataFrame
    row: npt.NDArray[np.int64]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    matched: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The export, as messages name it."""
        return f"source '{self.source.name}'"

    @property
    def metadata(self) -> list[str]:
        """The columns of text."""
        return [str(name) for name in self.cells.columns if str(name).startswith("Metadata_")]

    @property
    def measurements(self) -> list[str]:
        """The columns of numbers."""
        return [str(name) for name in self.cells.columns if name not in (*self.metadata, *PLACE_COLUMNS)]

    def only(self, keep: npt.NDArray[np.bool_]) -> ListedCells:
        """Return the same with the cells of ``keep``, bool (n,)."""
        return replace(self, cells=self.cells[keep].reset_index(drop=True), row=self.row[keep])

    def with_problems(self, reason: str, details: Iterable[str]) -> ListedCells:
        """Return the same with further problems, a sentence each."""
        found = [CellProblem(reason=reason, detail=detail) for detail in details]
        return replace(self, problems=(*self.problems, *(problem_of(self.source.name, None, item) for item in found)))

    def with_note(self, text: str) -> ListedCells:
        """Return the same with one note more."""
        return replace(self, notes=(*self.notes, f"source {self.source.name}: {text}"))


def reader_of(source: CellSourceConfig) -> CellReader[Any]:
    """Return the reader of an export."""
    return CELL_READERS.get(source.reader.name).build(source.reader)


def problem_of(plate: str, well: str | None, found: CellProblem) -> Problem:
    """Return a reader's problem as the sentence of the ingest."""
    where = f"source {plate}" + (f" bag {well}" if well else "")
    return Problem(
        plate=plate, well=well, file=found.file, reason=found.reason, detail=f"{found.detail}, {_SKIP}; {where}"
    )


def listed_cells(config: CellsIngestConfig, source: CellSourceConfig, tables: Sequence[OpenTable]) -> ListedCells:
    """Return the cells of an export that can be used, with what its tables know of them.

    Args:
        config: config of the ingest.
        source: the export.
        tables: tables of this export, opened.

    Raises:
        InputError: a column or measurement that is not there, tables that do not fit, or not one cell left.
    """
    listing = reader_of(source).survey(config.channels)
    listed = ListedCells(
        source=source,
        listing=listing,
        cells=listing.cells.reset_index(drop=True),
        row=np.arange(len(listing.cells)),
        problems=tuple(problem_of(source.name, None, item) for item in listing.problems),
        notes=tuple(listing.notes),
    )
    listed = _joined(listed, tables)
    listed = _without_duplicates(listed)
    listed = _inside_bounds(listed, config)
    listed = _with_a_bag(listed, config)
    if not len(listed.cells):
        reasons = [*listed.notes, *(problem.detail for problem in listed.problems[:_SHOWN_PROBLEMS])]
        raise InputError("\n".join([f"{listed.where}: none of {len(listing)} cells is left", *reasons]))
    return _with_missing_counted(listed, config)


def _joined(listed: ListedCells, tables: Sequence[OpenTable]) -> ListedCells:
    cells, matched, plate = listed.cells, list(listed.matched), listed.source.name
    for table in tables:
        cells, notes = join_table(table, cells, plate)
        matched += [f"{plate}: {note}" for note in notes]
    return replace(listed, cells=cells, matched=tuple(matched))


def _without_duplicates(listed: ListedCells) -> ListedCells:
    """Keep the first of the cells that have the same labels and site."""
    cells = listed.cells
    keys = [name for name in (*listed.metadata, "site") if name in cells]
    again = cells.duplicated(keys).to_numpy()
    shown = (
        ", ".join(f"{name} {value}" for name, value in zip(keys, values, strict=True))
        for values in cells.loc[again, keys].itertuples(index=False)
    )
    details = (f"{listed.where}: a second cell with {text}; remove one of them" for text in shown)
    listed = listed.with_problems("duplicate_cell", details)
    return listed.only(~again)


def _inside_bounds(listed: ListedCells, config: CellsIngestConfig) -> ListedCells:
    """Keep the cells whose measurements lie inside the ranges of ``keep``."""
    for name, bounds in config.keep.items():
        known_measurement(name, listed.measurements, "keep", listed.where)
        values = listed.cells[name].to_numpy(np.float64)
        low = -np.inf if bounds.min is None else bounds.min
        high = np.inf if bounds.max is None else bounds.max
        inside = (values >= low) & (values <= high)
        out = len(inside) - int(inside.sum())
        listed = listed.with_note(f"{out} of {len(inside)} cells left out by keep.{name}").only(inside)
    return listed


def _with_a_bag(listed: ListedCells, config: CellsIngestConfig) -> ListedCells:
    """Keep the cells that have every label by which they are sorted and counted."""
    for name in (*config.bags.by, *(config.bags.count_by or ()), *config.bags.together):
        if name not in listed.cells:
            raise InputError(
                f"{listed.where}: 'bags' names {name}, which is not a column of its cells; they have "
                f"{', '.join(listed.metadata)}" + did_you_mean(name, listed.metadata)
            )
        bare = (listed.cells[name].fillna("") == "").to_numpy(bool)
        if bare.any():
            cell = listed.cells[CELL][bare].iloc[0]
            text = f"{listed.where}: {int(bare.sum())} cells have no {name}, as cell {cell}"
            files = [str(each.table.path) for each in listed.source.tables if name in each.labels]
            text += f": {files[0]} has no row for them, or a blank there" if files else ""
            listed = listed.with_problems("no_label", [text]).only(~bare)
    return listed


def _with_missing_counted(listed: ListedCells, config: CellsIngestConfig) -> ListedCells:
    """Say how many cells have no value of a marker."""
    for marker, name in config.markers.items():
        if name in listed.cells:
            values = listed.cells[name].to_numpy(np.float64)
            text = what_is_missing(values, f"marker '{marker}' ({name})", listed.cells[CELL])
            listed = listed.with_note(text) if text else listed
    return listed


def known_measurement(name: str, known: Sequence[str], key: str, where: str) -> None:
    """Refuse a measurement that is not there.

    Args:
        name: name of the measurement.
        known: those there are.
        key: key of the config, that names it.
        where: it is missing, for messages.

    Raises:
        InputError: it is not one of ``known``.
    """
    if name not in known:
        more = " ..." if len(known) > _SHOWN_NAMES else ""
        shown = ", ".join(known[:_SHOWN_NAMES]) + more or "none; name some in 'tables'"
        raise InputError(f"'{key}': no measurement '{name}' in {where}; there is {shown}" + did_you_mean(name, known))
