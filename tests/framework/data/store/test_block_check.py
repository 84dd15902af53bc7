"""Blocks compared with their checksums when a tile of them is read."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny_dataset import edit_manifest, make_dataset

from framework.data.dataset import Dataset
from framework.data.store.tiles import TileStore
from framework.durable import file_checksum
from framework.errors import DatasetError

BLOCK = 1000


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A small dataset with zlib's CRC-32 of every 1,000 bytes."""
    made = make_dataset(tmp_path / "d")
    sums = {
        record.name: [zlib.crc32(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
        for record in made.manifest.shards
        for data in [(made.root / record.name).read_bytes()]
    }
    file = made.root / "checksums.json"
    file.write_text(json.dumps({"block_bytes": BLOCK, "crc32": sums}))
    record = {"name": "checksums.json", "bytes": file.stat().st_size, "blake3": file_checksum(file)}
    edit_manifest(made.root, files=[*(each.plain() for each in made.manifest.files), record])
    return Dataset.open(made.root)


def _gather(store: TileStore, tiles: list[int]) -> np.ndarray:
    out = np.empty((len(tiles), *store.sample_shape), dtype=store.dtype)
    store.gather(np.asarray(tiles, dtype=np.int64), out)
    return out


def test_a_checked_store_gives_the_same_tiles(dataset: Dataset) -> None:
    every = list(range(len(dataset.index)))
    assert np.array_equal(_gather(TileStore(dataset, check=True), every), _gather(TileStore(dataset), every))


def test_a_changed_pixel_is_told_with_its_block_and_only_by_those_who_read_it(dataset: Dataset) -> None:
    index, last = dataset.index, len(dataset.index) - 1
    record = dataset.manifest.shards[int(index.shard[last])]
    file = dataset.root / record.name
    data = bytearray(file.read_bytes())
    at = int(index.offset[last]) + 5
    data[at] ^= 1
    file.write_bytes(data)
    start = at // BLOCK * BLOCK
    store = TileStore(dataset, check=True)
    with pytest.raises(DatasetError, match=rf"{record.name}: bytes {start} to {min(start + BLOCK, len(data))} differ"):
        _gather(store, [0, last])
    assert len(_gather(store, [0])) == 1
    assert len(_gather(TileStore(dataset), [last])) == 1


def test_a_dataset_without_sums_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no checksums of shards/.*leave out data\.check"):
        TileStore(make_dataset(tmp_path / "d"), check=True)
