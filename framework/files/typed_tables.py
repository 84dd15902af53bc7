"""Tables of text and Parquet under one form: text cells with names of columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from framework.errors import InputError
from framework.files.delimited import TextTable, read_text_table
from framework.files.failures import first_bytes
from framework.files.parquet import read_parquet
from framework.files.text_values import text_values

_PARQUET = b"PAR1"


def is_parquet(file: Path) -> bool:
    """Return whether a file is Parquet, by its first bytes, or by its name where it cannot be read."""
    return first_bytes(file, len(_PARQUET)) == _PARQUET or file.suffix.lower() == ".parquet"


def read_as_text(file: Path, what: str) -> TextTable:
    """Read a text table, or a Parquet table as the text that a CSV file would hold.

    Raises:
        InputError: no readable table.
    """
    if is_parquet(file):
        return as_text(flat(read_parquet(file, error=InputError, what=what), file), file)
    return read_text_table(file, what=what)


def flat(frame: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Return a table whose index, where it says anything, is a column; names of columns are text.

    Raises:
        InputError: an index of several levels of which one has no name of its own.
    """
    if isinstance(frame.index, pd.MultiIndex):
        known = [name for name in frame.index.names if name is None or name in frame.columns]
        if known:
            raise InputError(
                f"{file}: its index of {frame.index.nlevels} levels has a level without a name, or with the "
                f"name of a column ('{known[0]}'); write the table with reset_index()"
            )
        frame = frame.reset_index()
    elif not isinstance(frame.index, pd.RangeIndex) and not _is_left_over(frame):
        name = frame.index.name if frame.index.name not in (None, *frame.columns) else "sample"
        frame = frame.reset_index(drop=name in frame.columns, names=name)
    frame.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    return frame


def _is_left_over(frame: pd.DataFrame) -> bool:
    """Whether an index is the row numbers that pandas leaves where rows were taken out, beside a column of names."""
    if frame.index.name is not None or frame.index.dtype.kind not in "iu" or not len(frame.columns):
        return False
    first = frame.iloc[:, 0]
    return first.dtype.kind not in "iufb" and bool(first.notna().all()) and first.map(str).is_unique


def as_text(frame: pd.DataFrame, file: Path) -> TextTable:
    """Return a table whose columns have types as text."""
    return TextTable(
        file=file,
        names=tuple(frame.columns),
        text=pd.DataFrame({name: text_values(frame[name]) for name in frame.columns}, index=range(len(frame))),
        lines=np.arange(1, len(frame) + 1),
        separator="",
        decimal=".",
        encoding="",
        notes=(),
        counted="row",
    )
