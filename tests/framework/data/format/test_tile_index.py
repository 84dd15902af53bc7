"""The mapped index against the table it comes from."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from blake3 import blake3
from fixtures.tiny_dataset import edit_manifest, make_dataset

from framework.data.dataset import Dataset
from framework.data.format import tile_index
from framework.data.format.tile_index import TileIndex, differs, map_index, tile_corner, write_index
from framework.data.verify import _arrays_in_tar, verify_dataset
from framework.durable import file_checksum
from framework.errors import DatasetError


def test_corner_rounds_the_centre_half_up() -> None:
    centres = np.array([4.0, 4.49, 4.5, 5.2])
    np.testing.assert_array_equal(tile_corner(centres, 8), [0, 0, 1, 1])
    np.testing.assert_array_equal(tile_corner(centres, 7), [1, 1, 2, 2])


BAGS = [0, 0, 2, 2, 2]
"""Bag 1 and the last of four are empty."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = {"bag": BAGS, "shard": [0, 0, 0, 1, 1], "offset": [512, 700, 1 << 40, 512, 9], "nbytes": [1, 2, 3, 4, 5]}
    types = {"bag": "int32", "shard": "int32", "offset": "int64", "nbytes": "int32"}
    pd.DataFrame(rows).astype(types).to_parquet(tmp_path / "tiles.parquet", row_group_size=2)
    return tmp_path / "tiles.parquet"


def mapped(table: Path, counts: Sequence[int] = (2, 0, 3, 0), *, coded: bool = True) -> TileIndex:
    return map_index(table.with_name("i"), "here", file_checksum(table), np.array(counts), coded=coded)


def lies_in_a_map_of(column: np.ndarray, file: Path) -> bool:
    """Whether the memory of an array is a map of this file."""
    at = column.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(edge, 16) for edge in line.split()[0].split("-"))
        if first <= at < last:
            return line.endswith(str(file))
    return False


def write(table: Path, *, coded: bool = True) -> bytes:
    stream = io.BytesIO()
    write_index(stream, table, file_checksum(table), coded=coded)
    table.with_name("i").write_bytes(stream.getvalue())
    return stream.getvalue()


def test_columns_are_mapped_as_the_table_has_them(table: Path) -> None:
    assert write(table) == write(table)
    index = mapped(table)
    assert len(index) == 5
    assert index.bag.tolist() == BAGS
    assert index.shard.tolist() == [0, 0, 0, 1, 1]
    assert index.offset.tolist() == [512, 700, 1 << 40, 512, 9]
    assert index.nbytes is not None
    assert index.nbytes.tolist() == [1, 2, 3, 4, 5]
    assert index.bag_start.tolist() == [0, 2, 2, 5, 5]
    for column in (index.bag, index.shard, index.offset, index.nbytes):
        assert type(column) is np.ndarray
        assert lies_in_a_map_of(column, table.with_name("i"))
    assert not differs(index, table)


def test_tiles_of_one_size_need_no_column_of_sizes(table: Path) -> None:
    with_sizes = len(write(table))
    assert len(write(table, coded=False)) < with_sizes
    index = mapped(table, coded=False)
    assert index.nbytes is None
    assert not differs(index, table)


@pytest.mark.parametrize("column", ["bag", "shard", "offset", "nbytes"])
def test_a_table_that_says_otherwise_differs(table: Path, column: str) -> None:
    write(table)
    index = mapped(table)
    changed = pd.read_parquet(table)
    changed.loc[4, column] += 1
    changed.to_parquet(table)
    assert differs(index, table)
    changed.iloc[:4].to_parquet(table)
    assert differs(index, table)


def test_an_index_of_another_build_is_refused(table: Path) -> None:
    write(table)
    with pytest.raises(
        DatasetError, match=r"here: has 5 tiles and belongs to another tiles\.parquet .*stale index.*CONFIG"
    ):
        mapped(table, (2, 0, 3, 90))
    with pytest.raises(DatasetError, match=r"has 5 tiles and belongs to another tiles\.parquet .*stale index"):
        map_index(table.with_name("i"), "here", "0" * 64, np.array([2, 0, 3, 0]), coded=True)
    with pytest.raises(DatasetError, match=r"here: its bags do not have the numbers of tiles that bags\.parquet"):
        mapped(table, (2, 1, 2, 0))
    with pytest.raises(DatasetError, match=r"columns bag int32, shard int32, offset int64, found .*nbytes int32"):
        mapped(table, coded=False)
    file = table.with_name("i")
    content = file.read_bytes()
    for damaged in (content[:-1], content[:-1] + b"X", content[: len(content) // 2], b""):
        file.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"here: not readable as an index of tiles: .*wellstream ingest CONFIG"):
            mapped(table)


def test_some_bags_of_a_large_index_are_compared(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(table)
    monkeypatch.setattr(tile_index, "_COMPARED_WHOLE", 0)
    assert mapped(table).bag.tolist() == BAGS
    with pytest.raises(DatasetError, match=r"its bags do not have the numbers of tiles"):
        mapped(table, (3, 0, 2, 0))


def test_any_arrow_library_reads_it_and_a_table_without_rows_too(table: Path) -> None:
    write(table)
    with pa.ipc.open_file(str(table.with_name("i"))) as opened:
        assert opened.read_all().to_pydict()["offset"] == [512, 700, 1 << 40, 512, 9]
    pd.read_parquet(table).iloc[:0].to_parquet(table)
    write(table)
    assert len(mapped(table, (0, 0))) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "d").root


def test_a_dataset_opens_with_its_index_mapped(folder: Path) -> None:
    opened, table = Dataset.open(folder), pd.read_parquet(folder / "tiles.parquet")
    assert lies_in_a_map_of(opened.index.offset, folder / "tiles.arrow")
    for name in ("bag", "shard", "offset"):
        found, wanted = getattr(opened.index, name), table[name].to_numpy()
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
    assert opened.index.bag_start.tolist() == [0, *np.cumsum(opened.bags["n_tiles"])]
    assert verify_dataset(folder).sentences


def test_a_lost_index_and_a_table_of_another_size_are_refused(folder: Path) -> None:
    table = folder / "tiles.parquet"
    content = table.read_bytes()
    table.write_bytes(content + b" ")
    with pytest.raises(DatasetError, match=r"the manifest records .*stale index.*wellstream verify"):
        Dataset.open(folder)
    table.write_bytes(content)
    (folder / "tiles.arrow").unlink()
    with pytest.raises(DatasetError, match=r"tiles\.arrow: missing although"):
        Dataset.open(folder)
    with pytest.raises(DatasetError, match=r"tiles\.arrow: missing\n.*wellstream ingest CONFIG --out"):
        verify_dataset(folder)


def test_verify_finds_a_table_that_the_index_contradicts(folder: Path) -> None:
    tiles = pd.read_parquet(folder / "tiles.parquet")
    tiles.loc[3, "offset"] += 1
    tiles.to_parquet(folder / "tiles.parquet", index=False)
    files = {item["name"]: item for item in json.loads((folder / "dataset.json").read_text())["files"]}
    content = (folder / "tiles.parquet").read_bytes()
    checksum = blake3(content).hexdigest()
    files["tiles.parquet"] |= {"bytes": len(content), "blake3": checksum}
    # An index of the new table by its checksum, of the old one by its columns.
    with pa.ipc.open_file(folder / "tiles.arrow") as old:
        batch, schema = old.get_batch(0), old.schema.with_metadata({b"tiles.parquet": checksum})
        with pa.OSFile(str(folder / "new"), "wb") as stream, pa.ipc.new_file(stream, schema) as writer:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    (folder / "new").replace(folder / "tiles.arrow")
    content = (folder / "tiles.arrow").read_bytes()
    files["tiles.arrow"] |= {"bytes": len(content), "blake3": blake3(content).hexdigest()}
    edit_manifest(folder, files=list(files.values()))
    with pytest.raises(DatasetError, match=r"tiles\.arrow: does not fit tiles\.parquet.*stale index.*rm -r"):
        verify_dataset(folder)


@pytest.mark.parametrize("name", ["bags.parquet", "tiles.parquet", "tiles.arrow"])
def test_a_manifest_must_record_the_tables_it_is_about(folder: Path, name: str) -> None:
    files = json.loads((folder / "dataset.json").read_text())["files"]
    edit_manifest(folder, files=[item for item in files if item["name"] != name])
    with pytest.raises(DatasetError, match=rf"dataset\.json: lists no {name}; ingest again"):
        Dataset.open(folder)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_arrays_are_found_in_any_kind_of_tar(tmp_path: Path, form: int) -> None:
    members = {"a.npy": 700, "a.json": 3, f"{'long' * 30}/b.npy": 512, "c.npy": 0}
    if form == tarfile.PAX_FORMAT:
        members["\u00fc.npy"] = 9
    with tarfile.open(tmp_path / "t", "w", format=form) as tar:
        for name, size in members.items():
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    with tarfile.open(tmp_path / "t") as tar, (tmp_path / "t").open("rb") as stream:
        wanted = [(each.offset_data, each.size) for each in tar if each.name.endswith(".npy")]
        assert len(wanted) == len(members) - 1
        assert _arrays_in_tar(tmp_path / "t", stream) == wanted


def test_arrays_of_plain_members_are_found_without_tarfile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarfile, "open", None)
    assert verify_dataset(folder).sentences
