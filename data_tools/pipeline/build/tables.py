"""The tables of a dataset as Arrow: fixed column types, fixed options, so equal rows give equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_tools.pipeline.build.durable import writing
from framework.data.format.schema import BAG_COLUMNS, MARKER_PREFIX
from framework.durable import write_with

CELLS_SCHEMA = pa.schema(
    [
        ("bag", pa.int32()),
        ("site", pa.int16()),
        ("y_px", pa.float32()),
        ("x_px", pa.float32()),
        ("score", pa.float32()),
        ("status", pa.string()),
    ]
)


def tiles_schema(markers: Sequence[str], labels: Sequence[str] = ()) -> pa.Schema:
    """Return the columns of tiles.parquet; ``labels`` are columns of text that follow the markers."""
    fixed = [
        ("bag", pa.int32()),
        ("site", pa.int16()),
        ("y_px", pa.float32()),
        ("x_px", pa.float32()),
        ("cell", pa.int64()),
        ("shard", pa.int32()),
        ("offset", pa.int64()),
        ("nbytes", pa.int32()),
    ]
    further = [*((MARKER_PREFIX + name, pa.float32()) for name in markers), *((name, pa.string()) for name in labels)]
    return pa.schema([*fixed, *further])


def bags_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return bags.parquet from one mapping a bag; further Metadata_ columns follow those every dataset has.

    A plate whose map lacks a column that another has gets empty text there.
    """
    # Sorted: rows of an earlier attempt were read from JSON, whose keys are sorted.
    further = sorted({name for row in rows for name in row if name not in BAG_COLUMNS})
    numbers = {"bag", "n_sites", "n_cells", "n_tiles"}
    fields = [(name, pa.int32() if name in numbers else pa.string()) for name in (*BAG_COLUMNS, *further)]
    schema = pa.schema(fields)
    columns = {name: [row.get(name, "") for row in rows] for name in schema.names}
    return pa.Table.from_pydict(columns, schema=schema)


def table_of(columns: Mapping[str, npt.NDArray[Any] | Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Return a table of columns cast to ``schema``."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        arrays.append(pa.array(values, type=field.type, from_pandas=False))
    return pa.Table.from_arrays(arrays, schema=schema)


def write_tables(file: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables one after another into a parquet file, durably; each becomes a row group."""

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, schema, compression="zstd", version="2.6", use_dictionary=["status"]) as writer:
            for table in tables:
                if len(table):
                    writer.write_table(table, row_group_size=1 << 20)

    with writing(file.parent):
        write_with(file, write)


def concatenated(parts: Sequence[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    """Return the parts as one array of ``dtype``; an empty one if there are none."""
    return np.concatenate([np.asarray(part, dtype=dtype) for part in parts]) if parts else np.zeros(0, dtype=dtype)
