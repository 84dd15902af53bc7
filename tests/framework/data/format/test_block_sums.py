"""Sums against zlib, over every way to get at the bytes."""

from __future__ import annotations

import mmap
import zlib
from pathlib import Path

import numpy as np
import pytest

from framework.data.format import block_sums as module
from framework.data.format.block_sums import block_sums, crc32, recorded_sums
from framework.data.format.schema import BlockSums, ShardRecord
from framework.errors import DatasetError

BLOCK = 10_000
"""No multiple of a page: blocks begin and end inside pages."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sums") / "file"
    path.write_bytes(np.random.default_rng(0).bytes(3 * BLOCK + 123))
    return path


def by_zlib(content: bytes) -> list[int]:
    return [zlib.crc32(content[start : start + BLOCK]) for start in range(0, len(content), BLOCK)]


def test_sums_are_those_of_zlib(file: Path) -> None:
    content = file.read_bytes()
    assert block_sums(file, len(content), BLOCK) == by_zlib(content)


def test_an_empty_file_has_no_block(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert block_sums(tmp_path / "empty", 0, BLOCK) == []


def no_map(*_: object, **__: object) -> mmap.mmap:
    raise OSError(19, "No such device")


@pytest.mark.parametrize(("name", "value"), [("_POPULATE_READ", 12345), ("mmap.mmap", no_map)])
def test_files_that_cannot_be_mapped_are_read(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    target, _, attribute = f"{module.__name__}.{name}".rpartition(".")
    monkeypatch.setattr(f"{target}.{attribute}", value)
    monkeypatch.setattr(module, "_PIECE", 3_000)
    content = file.read_bytes()
    assert block_sums(file, len(content), BLOCK) == by_zlib(content)


def test_a_file_shorter_than_told_differs_and_kills_nobody(file: Path) -> None:
    content = file.read_bytes()
    found = block_sums(file, len(content) + 5 * BLOCK, BLOCK)
    assert found[:3] == by_zlib(content)[:3]
    assert len(found) == 9


def test_recorded_sums_are_by_shard_and_are_continued_as_by_zlib() -> None:
    shards = [ShardRecord(name=name, bytes=size, blake3="0" * 64, tiles=0) for name, size in (("a", 7), ("b", 4))]
    found = recorded_sums(BlockSums(block_bytes=4, crc32={"a": (1, 2), "b": (3,)}), shards, "checksums.json")
    assert {name: (each.block_bytes, each.sums) for name, each in found.items()} == {"a": (4, (1, 2)), "b": (4, (3,))}
    data = np.arange(9, dtype=np.uint8)
    assert crc32(data[4:], zlib.crc32(data[:4])) == zlib.crc32(data)


@pytest.mark.parametrize("block", [1, 3, 5, 1 << 40])
def test_sums_of_other_blocks_than_the_shard_has_are_refused(block: int) -> None:
    shards = [ShardRecord(name="a", bytes=9, blake3="0" * 64, tiles=0)]
    n_blocks = {1: 9, 3: 3, 5: 2, 1 << 40: 1}[block]
    assert recorded_sums(BlockSums(block_bytes=block, crc32={"a": (0,) * n_blocks}), shards, "c.json")
    with pytest.raises(DatasetError, match=f"c.json: lists {n_blocks + 1} checksums of a, which has {n_blocks} blocks"):
        recorded_sums(BlockSums(block_bytes=block, crc32={"a": (0,) * (n_blocks + 1)}), shards, "c.json")
