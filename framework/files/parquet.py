"""Parquet tables, as pandas or Arrow; values are checked before anything takes them for valid text or positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from framework.errors import DatasetError, WellstreamError, some_of
from framework.files.failures import AGAIN, check_memory, check_regular, found_instead, reading

_MARK = b"PAR1"
_ARROW: Any = pc
"""Its functions are made when it loads, so type checkers know none of them."""
_MOST_WHOLE = 1 << 53
"""Up to it, float64 holds every whole number."""
_LEAST_BYTES = 1
"""Of a value in memory, by which the number of rows that a file declares is judged."""


def read_parquet(
    file: Path | str,
    columns: Sequence[str] | None = None,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a Parquet table",
    then: str = AGAIN,
) -> pd.DataFrame:
    """Return a table (or the named columns of it) as pandas.

    Raises:
        WellstreamError: of class ``error``: no such regular file, no Parquet, a column that is absent or appears twice,
            invalid values, or more rows than memory holds.
    """
    table = read_arrow_table(file, columns, error=error, what=what, then=then)
    with reading(file, error, what, then):
        frame: pd.DataFrame = _exact(table).to_pandas()
        return frame


def _exact(table: pa.Table) -> pa.Table:
    """Return long whole numbers beside a missing one as text: as floats of pandas they would lose digits."""
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if not pa.types.is_integer(field.type) or not column.null_count or column.null_count == len(column):
            continue
        ends = _ARROW.min_max(column).as_py()
        if max(abs(ends["min"]), abs(ends["max"])) > _MOST_WHOLE:
            table = table.set_column(place, field.name, column.cast(pa.string()))
    return table


def read_arrow_table(
    file: Path | str,
    columns: Sequence[str] | None = None,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a Parquet table",
    then: str = AGAIN,
) -> pa.Table:
    """Return a table (or the named columns of it, in their order) as Arrow. Raises as ``read_parquet``."""
    with open_parquet(file, error=error, what=what, then=then) as opened:
        names = opened.schema_arrow.names
        missing = [name for name in columns or () if name not in names]
        if missing:
            raise error(f"{file}: no column '{missing[0]}'; it has {some_of(names)}; {then}")
        table = opened.read(columns=None if columns is None else list(columns))
        table.validate(full=True)
        return table if columns is None else _in_order(table, columns)


def read_schema(
    file: Path | str,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a Parquet table",
    then: str = AGAIN,
) -> pa.Schema:
    """Return names and types of the columns. Raises as ``read_parquet``."""
    with open_parquet(file, error=error, what=what, then=then) as opened:
        return opened.schema_arrow


@contextmanager
def open_parquet(
    file: Path | str,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a Parquet table",
    then: str = AGAIN,
) -> Iterator[pq.ParquetFile]:
    """Open a table to read it some rows at a time; whatever is raised inside becomes a sentence.

    Raises:
        WellstreamError: of class ``error``, as ``read_parquet``.
    """
    check_regular(file, error, what, then)
    with reading(file, error, what, then), Path(file).open("rb") as stream:
        if stream.read(len(_MARK)) != _MARK:
            raise error(f"{file}: not readable as {what}: found {found_instead(Path(file))}; {then}")
    with reading(file, error, what, then), pq.ParquetFile(file) as opened:
        names = opened.schema_arrow.names
        twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
        if twice:
            raise error(f"{file}: the column '{twice[0]}' appears twice; {then}")
        check_memory(file, _LEAST_BYTES * opened.metadata.num_rows * max(len(names), 1), error, what, then)
        yield opened


def _in_order(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Columns that pandas kept as an index come along unasked."""
    rest = [name for name in table.column_names if name not in columns]
    return table.select([*columns, *rest])
