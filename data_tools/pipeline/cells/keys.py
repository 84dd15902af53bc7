"""Which row of a table belongs to which cell: keys compared as text, object numbers as whole numbers.

A join that is one row off looks like a good one: of 289 cells 288 find a row, that of their neighbour. So numbers are
also compared one up and one down, and where more cells would find a row then, the join is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.readers.cells.base import CELL
from framework.errors import InputError
from framework.files.names import left_over, why_unmatched

_WHOLE = r"[0-9]{1,18}"
_SHOWN_ROWS = 10_000


@dataclass(frozen=True, kw_only=True)
class KeyMatch:
    """The rows of cells.

    Attributes:
        rows: int64 (n,), -1 where a cell has none.
        notes: sentences about how keys were compared.
    """

    rows: npt.NDArray[np.int64]
    notes: tuple[str, ...]


def match_keys(
    cells: pd.DataFrame, keys: pd.DataFrame, columns: dict[str, str], shift: int | None, file: str, plate: str
) -> KeyMatch:
    """Find the row of each cell.

    Args:
        cells: the columns of ``keys`` as text, one row per cell.
        keys: the same of the table, one row per row of it.
        columns: column of the cells -> its name in the table, for messages.
        shift: to add to object numbers of the table; None to refuse a table that seems to be one off.
        file: the table, for messages.
        plate: the export, for messages.

    Raises:
        InputError: two rows for one cell, no row for any cell, numbers that seem to be one off, or ``shift`` for
            keys that are not numbers.
    """
    _check_distinct(keys, columns, file)
    kept = _may_be_cells(cells, keys)
    left = [f"'{name}'" for name in keys.loc[~kept, CELL]] if not kept.all() else []
    places, keys = np.flatnonzero(kept), keys[kept].reset_index(drop=True)
    cells, keys, notes = _numbered(cells, keys, columns, file)
    if left:
        notes = (
            *notes,
            f"{file}: {len(left)} rows have no number as '{columns[CELL]}', as {left[0]}, and are left out",
        )
    numbered = CELL in keys and keys[CELL].dtype.kind == "i"
    if shift and not numbered:
        raise InputError(
            f"{file}: 'shift' adds {shift} to object numbers, but {CELL} of the cells or '{columns.get(CELL)}' of the "
            "table are not all whole numbers; remove 'shift'"
        )
    if shift:
        keys = keys.assign(**{CELL: keys[CELL] + shift})
    rows = _rows(cells, keys)
    if numbered and shift is None:
        notes = (*notes, *_check_shift(cells, keys, rows, columns, file, plate))
    if not (rows >= 0).any():
        raise InputError(_no_match(cells, keys, columns, file, plate))
    found = np.where(rows >= 0, places[rows], -1)
    return KeyMatch(rows=found, notes=(*notes, _counted(cells, keys, rows, file)))


def _may_be_cells(cells: pd.DataFrame, keys: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows of a table may belong to cells that are all numbered.

    A last row ``Total`` belongs to none. As text beside it, numbers would not be seen to begin one apart.
    """
    every = np.ones(len(keys), dtype=np.bool_)
    if CELL not in keys or not cells[CELL].str.fullmatch(_WHOLE).all():
        return every
    numbered: npt.NDArray[np.bool_] = keys[CELL].str.fullmatch(_WHOLE + r"(\.0+)?").to_numpy(bool)
    return numbered if numbered.any() else every


def shown_key(keys: pd.DataFrame, row: int, names: dict[str, str] | None = None) -> str:
    """Return the keys of one row as ``sample A, object 3``."""
    return ", ".join(f"{(names or {}).get(str(name), name)} {keys[name].iloc[row]}" for name in keys.columns)


def _check_distinct(keys: pd.DataFrame, columns: dict[str, str], file: str) -> None:
    again = keys.duplicated().to_numpy()
    if again.any():
        shown = shown_key(keys, int(np.flatnonzero(again)[0]), columns)
        raise InputError(f"{file}: two rows for {shown}; remove one, or name more columns in 'by'")


def _numbered(
    cells: pd.DataFrame, keys: pd.DataFrame, columns: dict[str, str], file: str
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Turn object numbers into numbers where they are such on both sides, and stay as distinct as they were."""
    if CELL not in keys or not len(cells):
        return cells, keys, ()
    theirs = keys[CELL].str.replace(r"\.0+$", "", regex=True)
    if not (cells[CELL].str.fullmatch(_WHOLE).all() and theirs.str.fullmatch(_WHOLE).all()):
        return cells, keys, ()
    left = cells.assign(**{CELL: cells[CELL].astype(np.int64)})
    right = keys.assign(**{CELL: theirs.astype(np.int64)})
    if right.duplicated().any() or len(left.drop_duplicates()) < len(cells.drop_duplicates()):
        return cells, keys, ()
    changed = np.flatnonzero((keys[CELL] != right[CELL].astype(str)).to_numpy(bool))
    if not len(changed):
        return left, right, ()
    first = int(changed[0])
    text = f"'{columns[CELL]}' is compared as a whole number: {keys[CELL].iloc[first]} is {right[CELL].iloc[first]}"
    return left, right, (f"{file}: {text}",)


def _rows(cells: pd.DataFrame, keys: pd.DataFrame) -> npt.NDArray[np.int64]:
    names = list(keys.columns)
    numbered = keys.assign(row=np.arange(len(keys)))
    found = cells[names].merge(numbered, on=names, how="left")["row"]
    rows: npt.NDArray[np.int64] = found.fillna(-1).to_numpy(np.int64)
    return rows


def _check_shift(
    cells: pd.DataFrame,
    keys: pd.DataFrame,
    rows: npt.NDArray[np.int64],
    columns: dict[str, str],
    file: str,
    plate: str,
) -> tuple[str, ...]:
    """Refuse numbers that fit better one up or down; return a sentence where they fit as well and begin one apart."""
    matched = int((rows >= 0).sum())
    if matched == len(cells):
        return ()
    first, least = int(cells[CELL].min()), int(keys[CELL].min())
    numbers = f"{first} to {int(cells[CELL].max())}, those of the table {least} to {int(keys[CELL].max())}"
    for shift, text in ((-1, "1 less"), (1, "1 more")):
        better = int((_rows(cells, keys.assign(**{CELL: keys[CELL] + shift})) >= 0).sum())
        ways = f"'shift: {shift}' beside 'by' makes it so, 'shift: 0' says that the numbers are right as they are"
        if better > matched:
            raise InputError(
                f"{file}: '{columns[CELL]}' seems to be shifted by one: {matched} of {len(cells)} cells of "
                f"'{plate}' have a row, {better} would have one if it were {text}. The numbers of the cells "
                f"are {numbers}: {ways}"
            )
        if better == matched and {first, least} == {0, 1} and first == least + shift:
            return (
                f"{file}: one side counts from 0, the other from 1: the numbers of the cells are {numbers}: {ways}",
            )
    return ()


def _no_match(cells: pd.DataFrame, keys: pd.DataFrame, columns: dict[str, str], file: str, plate: str) -> str:
    hint = ""
    for name in keys.columns:
        left, right = (list(dict.fromkeys(side[name].astype(str)))[:_SHOWN_ROWS] for side in (cells, keys))
        if not set(left) & set(right):
            hint = why_unmatched(left, right)
            break
    return (
        f"{file}: none of its {len(keys)} rows belongs to any of the {len(cells)} cells of '{plate}': its first row is "
        f"{shown_key(keys, 0, columns)}, the first cell {shown_key(cells[list(keys.columns)], 0)}{hint}; correct 'by'"
    )


def _counted(cells: pd.DataFrame, keys: pd.DataFrame, rows: npt.NDArray[np.int64], file: str) -> str:
    has = rows >= 0
    used = np.zeros(len(keys), dtype=np.bool_)
    used[rows[has]] = True
    text = f"{file}: {int(has.sum())} of {len(cells)} cells have one of its {len(keys)} rows"
    for what, table, lacking in (
        ("cells have none", cells[list(keys.columns)], ~has),
        ("rows have no cell", keys, ~used),
    ):
        places = np.flatnonzero(lacking)
        text += left_over(len(places), what, shown_key(table, int(places[0]))) if len(places) else ""
    return text
