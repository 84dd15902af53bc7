"""Tables joined to cells: labels and measurements, found by the cells' own columns or by their order.

A measurement that is not a finite number is stored as missing, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.cells.config import CellTableConfig
from data_tools.pipeline.cells.keys import match_keys
from data_tools.readers.cells.base import CELL, PLACE_COLUMNS, TEXT
from data_tools.readers.tables import CELL_TABLES
from data_tools.readers.tables.base import NumberTable
from framework.errors import InputError, did_you_mean
from framework.files.delimited import TextTable

_SHOWN_COLUMNS = 12


@dataclass(frozen=True, kw_only=True)
class OpenTable:
    """A table that was read and has every column its config names.

    Attributes:
        config: how it is joined.
        labels: columns of text to join, by the name in the table; the keys too.
        numbers: float64 (rows,) of each measurement, NaN where it is empty.
        text: where rows are taken in order, all its columns as text, to see whether one of them names cells.
        rows: how many it has.
        notes: sentences about how it was read.
    """

    config: CellTableConfig
    labels: dict[str, pd.Series[Any]]
    numbers: dict[str, npt.NDArray[np.float64]]
    text: pd.DataFrame
    rows: int
    notes: tuple[str, ...]

    @property
    def file(self) -> str:
        """Return its file, as the config names it."""
        return str(self.config.table.path)


def open_table(config: CellTableConfig) -> OpenTable:
    """Read a table and check what its config names.

    Raises:
        InputError: no such table or column, no row, or text where a number belongs.
    """
    used = [*config.by.values(), *config.labels.values(), *config.measurements]
    # Only rows in order are compared with every column, as one of them may name the cells.
    table = CELL_TABLES.get(config.table.name).build(config.table, None if config.in_order else set(used))
    file = str(config.table.path)
    columns: pd.DataFrame = table.columns if isinstance(table, NumberTable) else table.text
    known = list(table.header) if isinstance(table, TextTable) else [str(column) for column in columns]
    for name in used:
        if name not in known:
            shown = ", ".join(known[:_SHOWN_COLUMNS]) + (" ..." if len(known) > _SHOWN_COLUMNS else "")
            raise InputError(f"{file}: no column '{name}'; it has {shown}" + did_you_mean(name, known))
    if not len(columns):
        raise InputError(f"{file}: a table without rows; correct 'tables'")
    return OpenTable(
        config=config,
        labels={name: as_text(columns[name]) for name in (*config.by.values(), *config.labels.values())},
        numbers={
            name: (columns[name] if isinstance(table, NumberTable) else table.numbers(name)).to_numpy(np.float64)
            for name in config.measurements
        },
        text=pd.DataFrame(index=columns.index) if isinstance(table, NumberTable) else columns,
        rows=len(columns),
        notes=table.notes,
    )


def join_table(table: OpenTable, cells: pd.DataFrame, plate: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the cells with the labels and measurements of a table, and what to say about the join.

    A cell without a row gets empty labels and NaN.

    Raises:
        InputError: two rows for one cell, no row for any cell, a name that is taken, or another number of rows where
            cells are taken in order.
    """
    config, file = table.config, table.file
    taken = [name for name in (*config.labels, *config.measurements) if name in (*cells.columns, *PLACE_COLUMNS)]
    if taken:
        raise InputError(f"{file}: the cells of '{plate}' already have a column '{taken[0]}'; give it another name")
    rows, notes = _rows_in_order(table, cells, plate) if config.in_order else _rows_by(table, cells, plate)
    has = rows >= 0
    added: dict[str, Any] = {}
    for label, column in config.labels.items():
        added[label] = table.labels[column].take(np.where(has, rows, 0)).reset_index(drop=True).where(has, "")
    for column in config.measurements:
        added[column] = np.where(has, table.numbers[column][rows], np.nan)
    return cells.assign(**added), (*table.notes, *notes)


def as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as text without blanks around it, missing values empty; of numbers (events of an FCS file), whole
    ones without a decimal point."""
    if column.dtype.kind == "f":
        whole = column.dropna()
        if len(whole) and np.all(whole == np.floor(whole)):
            column = column.astype("Int64")
    return column.astype(TEXT).fillna("").str.strip()


def _rows_in_order(table: OpenTable, cells: pd.DataFrame, plate: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    if table.rows != len(cells):
        raise InputError(
            f"{table.file}: {table.rows} rows for {len(cells)} cells of '{plate}', so their order does not "
            "say which row belongs to which cell; join by a column with 'by'"
        )
    names = as_text(cells[CELL])
    known = set(names)
    for name, values in table.text.items():
        # Ends first: a table may have hundreds of columns.
        if not {values.iloc[0], values.iloc[-1]} <= known:
            continue
        if set(values) == known and values.tolist() != names.tolist():
            row = int(np.flatnonzero((values.to_numpy() != names.to_numpy()).astype(bool))[0])
            raise InputError(
                f"{table.file}: 'in_order' gives its rows to the cells in their order, but its column "
                f"'{name}' has another order: row {row + 1} says {values.iloc[row]}, cell {row + 1} of "
                f"'{plate}' is {names.iloc[row]}; join with 'by: {{{CELL}: {name}}}'"
            )
    _need_rising(cells, names, table.file, plate)
    return np.arange(len(cells)), (
        f"{table.file}: {len(cells)} of {len(cells)} cells have one of its {table.rows} rows, in order",
    )


def _need_rising(cells: pd.DataFrame, names: pd.Series[str], file: str, plate: str) -> None:
    """Refuse an order in which 10 comes before 2, as names of files are sorted: no table is written in that.

    Cells are numbered within what else they share, as a field.
    """
    if not names.str.fullmatch("[0-9]{1,18}").all():
        return
    others = cells[[name for name in cells if str(name).startswith("Metadata_") and name != CELL]].astype(str)
    together = (others == others.shift()).all(axis=1).to_numpy()
    numbers = names.astype("int64").to_numpy()
    falls = np.flatnonzero(together[1:] & (numbers[1:] < numbers[:-1]))
    if len(falls):
        place = int(falls[0])
        raise InputError(
            f"{file}: 'in_order' gives its rows to the cells in their order. The cells of '{plate}' are "
            f"sorted by name, where {names.iloc[place + 1]} follows {names.iloc[place]}. Join by a column "
            f"with the numbers of the cells: 'by: {{{CELL}: COLUMN}}'. If there is none, rename the files so "
            "that all numbers have as many digits (01, 02)"
        )


def _rows_by(table: OpenTable, cells: pd.DataFrame, plate: str) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return the row of each cell, int64 (n,), -1 where there is none."""
    by = table.config.by
    lacking = [name for name in by if name not in cells]
    if lacking:
        known = [str(name) for name in cells if str(name).startswith("Metadata_")]
        raise InputError(
            f"{table.file}: 'by' names {lacking[0]}, which is not a column of the cells; they have {', '.join(known)}"
            + did_you_mean(lacking[0], known)
        )
    keys = pd.DataFrame({name: table.labels[column] for name, column in by.items()})
    found = match_keys(cells[list(by)], keys, by, table.config.shift, table.file, plate)
    return found.rows, found.notes


def stored_values(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return numbers (n,) as float32; infinite ones, and those beyond its range (3.4e38), as NaN."""
    with np.errstate(over="ignore"):
        stored: npt.NDArray[np.float32] = values.astype(np.float32)
    return np.where(np.isfinite(stored), stored, np.float32(np.nan)).astype(np.float32)


def what_is_missing(values: npt.NDArray[np.float64], name: str, cells: pd.Series[str]) -> str:
    """Say how many cells have no finite number: ``3 of 9 cells have no 'area', as cell 4``; empty where all have one.

    Args:
        values: float64 (n,), NaN where there is none.
        name: as the sentence calls the measurement.
        cells: (n,) names.
    """
    missing, stored = np.isnan(values), stored_values(values)
    infinite = np.isnan(stored) & ~missing
    found = []
    for which, text in (
        (missing, f"have no {name}"),
        (infinite, f"have an infinite {name}, or one beyond 3.4e38, which is stored as missing"),
    ):
        if which.any():
            example = cells.iloc[int(np.flatnonzero(which)[0])]
            found.append(f"{int(which.sum())} of {len(values)} cells {text}, as cell {example}")
    return "; ".join(found)
