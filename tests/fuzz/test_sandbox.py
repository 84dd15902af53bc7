"""The sandbox of the fuzz target tells apart what can come of an input."""

from __future__ import annotations

import ctypes
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz.mutations import DAMAGE
from fuzz.mutations_formats import FORMATS
from fuzz.mutations_tables import IDENTIFIERS, SAME, renamed
from fuzz.sandbox import isolated, plain

from framework.errors import InputError


def _refuse() -> None:
    raise InputError("a.csv: no such column")


def _fail() -> None:
    raise KeyError("column")


def _crash() -> None:
    ctypes.string_at(0)


def _sleep() -> None:
    time.sleep(60)


def _allocate() -> int:
    return len(bytearray(4 << 30))


@pytest.mark.parametrize(
    ("work", "kind", "text"),
    [
        (lambda: {"a": np.arange(3)}, "value", '{"a": [[3], [0, 1, 2]]}'),
        (_refuse, "refused", "a.csv: no such column"),
        (_fail, "traceback", "KeyError: 'column'"),
        (_crash, "crash", "SIGSEGV"),
        (_sleep, "hang", "no answer within 1 s"),
        (_allocate, "traceback", "MemoryError"),
    ],
)
def test_each_outcome_has_its_kind(work: Callable[[], Any], kind: str, text: str, tmp_path: Path) -> None:
    outcome = isolated(work, seconds=1 if kind == "hang" else 60, memory_bytes=1 << 30, scratch=tmp_path)
    assert outcome.kind == kind
    assert text in outcome.text


def test_values_are_equal_only_where_what_was_read_is_equal() -> None:
    table = pd.DataFrame({"a": ["0042", None], "b": [1.5, float("nan")]})
    assert plain(table) == {"a": ["0042", None], "b": [1.5, None]}
    long = np.arange(1000, dtype=np.uint16)
    assert plain(long) == plain(long.copy())
    assert plain(long) != plain(long.astype(np.int32))
    assert plain(long) != plain(long[::-1])


def test_a_mutation_depends_on_its_generator_alone() -> None:
    data = bytes(range(256)) * 8
    for name, mutation in DAMAGE.items():
        first, second = (mutation(data, np.random.default_rng([3, 1])) for _ in range(2))
        assert first == second, name
        assert any(mutation(data, np.random.default_rng(seed)) != data for seed in range(5)), name


def test_tables_written_another_way_hold_the_same_cells() -> None:
    data = b"well,name\nA01,0042\nA02,NA\n"
    assert SAME["semicolons"](data, np.random.default_rng(0)) == b"well;name\nA01;0042\nA02;NA\n"
    wide = {SAME["utf16"](data, np.random.default_rng(seed)) for seed in range(20)}
    assert wide == {data.decode().encode(name) for name in ("utf-16", "utf-16-le", "utf-32")} | {
        b"\xfe\xff" + data.decode().encode("utf-16-be")
    }
    assert SAME["windows_lines"](data, np.random.default_rng(0)).count(b"\r\n") == 3


def test_renamed_names_stand_in_the_table_and_in_the_mapping() -> None:
    spoiled, mapping = renamed(b"well,drug\nA01,x\nA02,y\n", ("x", "y"), np.random.default_rng(1))
    assert set(mapping) == {"x", "y"}
    assert set(mapping.values()) <= set(IDENTIFIERS)
    assert spoiled.decode().splitlines() == ["well,drug", f"A01,{mapping['x']}", f"A02,{mapping['y']}"]
    assert json.loads(json.dumps(mapping)) == mapping


def test_mutations_of_parquet_fit_columns_without_a_value_and_tables_without_a_row() -> None:
    table = pa.table({"a": [1, 2], "none": pa.nulls(2), "text": ["x", None]})
    for one in (table, table.slice(0, 0)):
        sink = io.BytesIO()
        pq.write_table(one, sink)
        made = {FORMATS["parquet_column"](sink.getvalue(), np.random.default_rng(seed)) for seed in range(60)}
        assert len(made) > 10
        assert all(pq.ParquetFile(io.BytesIO(data)).metadata.num_columns >= 2 for data in made)
