"""Tables joined to cells: labels and measurements, found by the cells' own columns or by their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.cells_config import CellTableConfig
from data_tools.readers import CELL_TABLES
from data_tools.readers.cells_base import PLACE_COLUMNS, TEXT
from framework.errors import InputError, did_you_mean


def join_table(config: CellTableConfig, cells: pd.DataFrame, plate: str) -> tuple[pd.DataFrame, str]:
    """Return the cells with the labels and measurements of a table, and how many cells have a row there.

    A cell without a row gets empty labels and NaN.

    Raises:
        InputError: no such table or column, two rows for one cell, text where a number belongs, a name that is taken,
            or another number of rows where cells are taken in order.
    """
    table = CELL_TABLES.get(config.table.name).build(config.table)
    file = str(config.table.path)
    if not len(table):
        raise InputError(f"{file}: a table without rows; correct 'tables'")
    for name in (*config.by.values(), *config.labels.values(), *config.measurements):
        if name not in table.columns:
            known = [str(column) for column in table.columns]
            raise InputError(
                f"{file}: no column '{name}'; it has {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}"
                + did_you_mean(name, known)
            )
    taken = [name for name in (*config.labels, *config.measurements) if name in (*cells.columns, *PLACE_COLUMNS)]
    if taken:
        raise InputError(f"{file}: the cells of '{plate}' already have a column '{taken[0]}'; give it another name")
    rows = _rows_in_order(table, cells, file) if config.in_order else _rows_by(config.by, table, cells, file)
    has = rows >= 0
    added: dict[str, Any] = {}
    for label, column in config.labels.items():
        added[label] = as_text(table[column]).take(np.where(has, rows, 0)).reset_index(drop=True).where(has, "")
    for column in config.measurements:
        values = _numbers(table[column], column, file)
        added[column] = np.where(has, values[rows], np.nan)
    note = f"{file}: {int(has.sum())} of {len(cells)} cells have one of its {len(table)} rows"
    return cells.assign(**added), note


def as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as text: whole numbers without a decimal point, missing values empty."""
    if column.dtype.kind == "f":
        whole = column.dropna()
        if len(whole) and np.all(whole == np.floor(whole)):
            column = column.astype("Int64")
    return column.astype(TEXT).fillna("").str.strip()


def _rows_in_order(table: pd.DataFrame, cells: pd.DataFrame, file: str) -> npt.NDArray[np.int64]:
    if len(table) != len(cells):
        raise InputError(
            f"{file}: {len(table)} rows for {len(cells)} cells, so their order does not say which is which; join by a "
            "column with 'by'"
        )
    return np.arange(len(cells))


def _rows_by(by: dict[str, str], table: pd.DataFrame, cells: pd.DataFrame, file: str) -> npt.NDArray[np.int64]:
    """Return the row of each cell, int64 (n,), -1 where there is none."""
    lacking = [name for name in by if name not in cells]
    if lacking:
        known = [str(name) for name in cells if str(name).startswith("Metadata_")]
        raise InputError(
            f"{file}: 'by' names {lacking[0]}, which is no column of the cells; they have {', '.join(known)}"
            + did_you_mean(lacking[0], known)
        )
    keys = pd.DataFrame({name: as_text(table[column]) for name, column in by.items()})
    again = keys.duplicated().to_numpy()
    if again.any():
        row = int(np.flatnonzero(again)[0])
        shown = ", ".join(f"{column} {keys[name].iloc[row]}" for name, column in by.items())
        raise InputError(f"{file}: two rows for {shown}; remove one, or name more columns in 'by'")
    keys["row"] = np.arange(len(keys))
    found = cells[list(by)].merge(keys, on=list(by), how="left")["row"]
    return found.fillna(-1).to_numpy(np.int64)


def _numbers(column: pd.Series[Any], name: str, file: str) -> npt.NDArray[np.float64]:
    """Return a column as float64, NaN where it is empty."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    text = as_text(column)
    bad = np.isnan(numbers) & ~text.str.lower().isin(["", "nan", "na", "n/a"]).to_numpy(bool)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(f"{file}: '{name}' reads '{text.iloc[row]}' in data row {row + 1}, expected a number")
    return numbers
