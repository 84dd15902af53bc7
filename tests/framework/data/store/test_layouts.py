"""One engine for every layout: ours, stock webdataset and stock zarr see the same pixels in any order."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
import webdataset
import zarr
from fixtures.tiny_dataset import make_dataset, stored_tiles
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.pipeline.build.folder import record
from data_tools.pipeline.build.joining import tile_index
from data_tools.shards import DATA_KEY, ZarrShardWriter
from framework.data.dataset import Dataset
from framework.data.format.schema import BAGS_NAME, INDEX_NAME, MANIFEST_NAME, TILES_NAME, BloscCodec, ShardRecord
from framework.data.store import tiles as store_module
from framework.data.store.tiles import TileStore
from framework.errors import DatasetError

CHANNELS = ("A", "B", "C")
CODECS = {
    "none": None,
    **{
        f"{c}-{s}": BloscCodec(cname=c, shuffle=s)
        for c in ("lz4", "zstd")
        for s in ("noshuffle", "shuffle", "bitshuffle")
    },
}


def as_zarr(tar: Dataset, folder: Path, codec: BloscCodec | None) -> Dataset:
    """The same tiles in the same order as Zarr arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels, table = stored_tiles(tar), tar.tile_table()
    records: list[ShardRecord] = []
    for number in range(len(tar.manifest.shards)):
        base = folder / "shards" / f"{number}.zarr"
        (base / DATA_KEY).parent.mkdir(parents=True)
        rows = np.flatnonzero(tar.index.shard == number)
        with (base / DATA_KEY).open("wb") as file:
            writer = ZarrShardWriter(file, codec)
            offsets = [writer.add("k", 1, [pixels[row : row + 1]], {"bag": int(tar.index.bag[row])}) for row in rows]
            digest = writer.finish()
        (base / "zarr.json").write_text(json.dumps(writer.metadata(CHANNELS, 7, tar.manifest.tile.dtype)))
        table.loc[rows, "offset"] = np.concatenate(offsets)
        table.loc[rows, "nbytes"] = np.concatenate(writer.tile_nbytes)
        name = f"shards/{number}.zarr/{DATA_KEY}"
        records.append(ShardRecord(name=name, bytes=writer.nbytes, blake3=digest, tiles=len(rows)))
    table.to_parquet(folder / TILES_NAME, index=False)
    tar.bags.to_parquet(folder / BAGS_NAME, index=False)
    tile_index(folder, coded=codec is not None)
    files = tuple(record(folder / name, folder) for name in (BAGS_NAME, TILES_NAME, INDEX_NAME))
    changes = {"layout": "zarr", "codec": codec, "shards": tuple(records), "files": files}
    (folder / MANIFEST_NAME).write_text(tar.manifest.model_copy(update=changes).sealed().model_dump_json())
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(
        tmp_path_factory.mktemp("tar"), channels=CHANNELS, size=7, chunk_tiles=3, tiles_per_bag=(7, 0, 9, 1)
    )


@pytest.fixture(scope="module", params=[*CODECS])
def coded(request: pytest.FixtureRequest, tar: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return as_zarr(tar, tmp_path_factory.mktemp(request.param), CODECS[request.param])


@pytest.fixture(scope="module")
def by_webdataset(tar: Dataset) -> npt.NDArray[np.generic]:
    shards = [str(tar.root / shard.name) for shard in tar.manifest.shards if shard.tiles]
    samples = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False)
    return np.concatenate([np.load(io.BytesIO(sample["npy"]), allow_pickle=False) for sample in samples])


def gathered(store: TileStore, ids: list[int]) -> npt.NDArray[np.generic]:
    out = np.empty((len(ids), *store.sample_shape), store.dtype)
    store.gather(np.asarray(ids, np.int64), out)
    return out


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_ours_webdataset_and_zarr_agree(
    tar: Dataset, coded: Dataset, by_webdataset: npt.NDArray[np.generic], data: st.DataObject
) -> None:
    """Shuffled, permuted, repeated and channel-subset requests, of both layouts, larger than the cache and smaller."""
    n = len(by_webdataset)
    ids = data.draw(st.one_of(st.lists(st.integers(0, n - 1), max_size=40), st.permutations(range(n))))
    channels = tuple(data.draw(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=3, unique=True)))
    columns = [CHANNELS.index(c) for c in channels]
    arrays = [zarr.open_array(coded.root / f"shards/{k}.zarr", mode="r")[:] for k in range(len(coded.manifest.shards))]
    by_zarr = np.concatenate(arrays)
    expected = by_webdataset[list(ids)][:, columns]
    assert np.array_equal(by_zarr[list(ids)][:, columns], expected)
    with mock.patch.object(store_module, "_CACHED_BYTES", data.draw(st.sampled_from([0, 1 << 30]))):
        assert np.array_equal(gathered(TileStore(coded, channels), list(ids)), expected)
        assert np.array_equal(gathered(TileStore(tar, channels), list(ids)), expected)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_other_types_compressed(tmp_path: Path, dtype: str) -> None:
    plain = make_dataset(tmp_path / "tar", channels=CHANNELS, size=7, dtype=dtype)
    coded = as_zarr(plain, tmp_path / "zarr", BloscCodec(cname="zstd", shuffle="bitshuffle"))
    assert np.array_equal(gathered(TileStore(coded), [5, 1, 5, 0]), stored_tiles(plain)[[5, 1, 5, 0]])


def test_threads_unpack_into_their_own_buffers(tar: Dataset, tmp_path: Path) -> None:
    pixels = stored_tiles(tar)
    store = TileStore(as_zarr(tar, tmp_path, BloscCodec()), ("C", "A"), decoders=3)
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(30):
            ids = rng.integers(0, len(pixels), 20)
            if not np.array_equal(gathered(store, ids.tolist()), pixels[ids][:, [2, 0]]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_damaged_chunk_is_named(tar: Dataset, tmp_path: Path) -> None:
    coded = as_zarr(tar, tmp_path, BloscCodec())
    begin = int(coded.index.offset[2])
    file = coded.root / coded.manifest.shards[0].name
    raw = bytearray(file.read_bytes())
    raw[begin : begin + 16] = bytes(16)
    file.write_bytes(raw)
    store = TileStore(coded)
    gathered(store, [0, 1, 3])
    with pytest.raises(DatasetError, match=rf"bytes {begin} to \d+ \(tile 2\) hold no tile.*wellstream verify"):
        gathered(store, [1, 2])
