"""Parquet tables: columns by name and order, invalid contents refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework.errors import InputError
from framework.files import failures
from framework.files.parquet import open_parquet, read_arrow_table, read_parquet, read_schema


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "part=3" / "t.parquet"  # no column comes from the names of folders
    place.parent.mkdir()
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}).to_parquet(place)
    return place


def test_columns_come_as_asked(file: Path) -> None:
    assert list(read_parquet(file).columns) == ["a", "b"]
    assert read_parquet(file, ["b", "a"]).to_dict("list") == {"b": ["x", None], "a": [1, 2]}
    assert read_arrow_table(file, ["a"]).column_names == ["a"]
    assert read_schema(file).names == ["a", "b"]
    with open_parquet(file) as opened:
        assert sum(len(batch) for batch in opened.iter_batches()) == 2


def test_an_absent_column_is_named(file: Path) -> None:
    with pytest.raises(InputError, match="no column 'c'; it has a, b"):
        read_parquet(file, ["a", "c"], error=InputError)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"{}", b"PAR1" + b"\xff" * 40 + b"PAR1"])
def test_what_is_no_parquet_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(data)
    for read in (read_parquet, read_arrow_table, read_schema):
        with pytest.raises(InputError, match=r"x\.parquet: not readable as a Parquet table"):
            read(tmp_path / "x.parquet", error=InputError)


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="the column 'a' appears twice"):
        read_parquet(tmp_path / "t.parquet", error=InputError)


def test_text_that_is_no_text_is_refused(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    pq.write_table(pa.table({"a": bad}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="UTF8"):
        read_parquet(tmp_path / "t.parquet", error=InputError)


def test_more_rows_than_memory_holds_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "memory_bytes", lambda: 3)
    with pytest.raises(InputError, match="declares to hold"):
        read_parquet(file, error=InputError)


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"not readable as a Parquet table: found text; name it with the suffix \.csv"):
        read_parquet(tmp_path / "x.parquet", error=InputError)


def test_long_whole_numbers_beside_a_missing_one_keep_their_digits(tmp_path: Path) -> None:
    """pandas would make floats of them: 1234567890123456789 became 1.2345678901234568e+18."""
    table = pa.table(
        {"barcode": [1234567890123456789, None], "count": [3, None], "none": pa.array([None, None], pa.int64())}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    frame = read_parquet(tmp_path / "t.parquet")
    assert frame["barcode"].tolist() == ["1234567890123456789", None]
    assert frame["count"].iloc[0] == 3
    assert frame["none"].isna().all()
