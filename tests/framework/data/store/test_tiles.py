from __future__ import annotations

import gc
import threading
import warnings
from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from fixtures.tiny_dataset import make_dataset, resealed, stored_tiles
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.data.dataset import Dataset
from framework.data.format.schema import TILES_NAME
from framework.data.store import EmbeddingStore, Store, TileStore, dataset_digest
from framework.data.store import embeddings as embeddings_module
from framework.data.store import tiles as store_module
from framework.errors import DatasetError, InputError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Chunks of 3 tiles of 7 x 7 px: offsets are not multiples of the item size times the tile."""
    return make_dataset(
        tmp_path_factory.mktemp("tiny"), channels=("A", "B", "C"), size=7, chunk_tiles=3, tiles_per_bag=(7, 0, 9, 1)
    )


@pytest.fixture(scope="module")
def pixels(dataset: Dataset) -> npt.NDArray[np.generic]:
    return stored_tiles(dataset)


def gathered(store: Store, ids: list[int]) -> npt.NDArray[np.generic]:
    out = np.empty((len(ids), *store.sample_shape), store.dtype)
    store.gather(np.asarray(ids, np.int64), out)
    return out


def embeddings_file(
    folder: Path, dataset: Dataset, compression: str | None = None
) -> tuple[Path, npt.NDArray[np.float32]]:
    values = np.random.default_rng(0).normal(size=(len(dataset.index), 5)).astype(np.float32)
    table = anndata.AnnData(X=values, obs=pd.DataFrame(index=[str(i) for i in range(len(values))]))
    table.uns["wellstream"] = {"kind": "embeddings", "dataset_digest": dataset_digest(dataset)}
    file = folder / "tiles.h5ad"
    table.write_h5ad(file, compression=compression)
    return file, values


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_gather_returns_what_tarfile_and_numpy_read(
    dataset: Dataset, pixels: npt.NDArray[np.generic], data: st.DataObject
) -> None:
    """Ids in any order, with repeats, in runs and backwards; channels in any order."""
    channels = data.draw(st.lists(st.sampled_from("ABC"), min_size=1, max_size=3, unique=True))
    ids = data.draw(
        st.one_of(
            st.lists(st.integers(0, len(pixels) - 1), max_size=40),
            st.permutations(range(len(pixels))),
            st.builds(lambda a, n: list(range(a, min(a + n, len(pixels)))), st.integers(0, 20), st.integers(1, 20)),
        )
    )
    store = TileStore(dataset, tuple(channels))
    assert len(store) == len(pixels)
    expected = pixels[ids][:, ["ABC".index(c) for c in channels]]
    assert np.array_equal(gathered(store, list(ids)), expected)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_other_types(tmp_path: Path, dtype: str) -> None:
    dataset = make_dataset(tmp_path, dtype=dtype)
    store = TileStore(dataset)
    assert store.dtype == np.dtype(dtype)
    assert np.array_equal(gathered(store, [5, 1, 5]), stored_tiles(dataset)[[5, 1, 5]])


def test_a_request_larger_than_the_cache_gives_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset(tmp_path, channels=("A", "B", "C"), size=33, tiles_per_bag=(7, 3))
    asked: list[bool] = []
    copy = store_module.copy_ranges

    def noted(*args: npt.NDArray[np.int64], past_cache: bool) -> None:
        asked.append(past_cache)
        copy(*args, past_cache=past_cache)

    monkeypatch.setattr(store_module, "copy_ranges", noted)
    ids, store = [9, 0, 1, 5, 5, 8, 2], TileStore(dataset, ("C", "A"))
    expected = stored_tiles(dataset)[ids][:, [2, 0]]
    assert np.array_equal(gathered(store, ids), expected)
    assert set(asked) == {False}
    monkeypatch.setattr(store_module, "_CACHED_BYTES", expected.nbytes - 1)
    asked.clear()
    assert np.array_equal(gathered(store, ids), expected)
    assert set(asked) == {True}


def test_the_buffer_must_fit(dataset: Dataset) -> None:
    store = TileStore(dataset)
    ids = np.arange(2)
    good = np.empty((2, 3, 7, 7), np.uint16)
    for bad in (good[:1], good.astype(np.int16), np.empty((2, 3, 7, 14), np.uint16)[..., ::2]):
        with pytest.raises(ValueError, match="expected a C-contiguous buffer"):
            store.gather(ids, bad)
    for outside in (-1, len(store)):
        with pytest.raises(IndexError, match="tile ids must lie in"):
            store.gather(np.asarray([0, outside]), good)


def test_a_damaged_shard_is_named_with_its_repair(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    shard = tmp_path / dataset.manifest.shards[1].name
    size = shard.stat().st_size
    with shard.open("r+b") as file:
        file.truncate(size - 1)
    with pytest.raises(
        DatasetError, match=rf"00001\.tar: shard is damaged, expected {size} bytes, found {size - 1}.*ver"
    ):
        TileStore(dataset)
    shard.unlink()
    with pytest.raises(DatasetError, match=r"00001\.tar: shard is missing.*wellstream verify"):
        TileStore(dataset)


def test_a_shard_that_goes_away_after_opening_is_one_sentence(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "a")
    store = TileStore(dataset)
    name = dataset.manifest.shards[0].name
    (dataset.root / name).unlink()
    with pytest.raises(DatasetError) as caught:
        store.gather(np.zeros(1, np.int64), np.empty((1, *store.sample_shape), store.dtype))
    find = f"find all damage with: wellstream verify {dataset.root}"
    assert str(caught.value) == f"{dataset.root}/{name}: no such file; expected a shard; {find}"


def test_a_shard_outside_the_folder_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "a")
    manifest = dataset.manifest
    (tmp_path / "secret.tar").write_bytes((dataset.root / manifest.shards[0].name).read_bytes())
    evil = manifest.shards[0].model_copy(update={"name": "../secret.tar"})
    escaped = Dataset(
        root=dataset.root,
        manifest=manifest.model_copy(update={"shards": (evil, *manifest.shards[1:])}),
        bags=dataset.bags,
        index=dataset.index,
    )
    with pytest.raises(DatasetError, match="outside the dataset folder"):
        TileStore(escaped)


def test_an_index_that_points_beyond_a_shard(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    table = pd.read_parquet(tmp_path / TILES_NAME)
    table.loc[3, "offset"] += 10**6
    table.to_parquet(tmp_path / TILES_NAME, index=False)
    dataset = resealed(tmp_path)
    with pytest.raises(DatasetError, match="points beyond the end of a shard"):
        gathered(TileStore(dataset), [3])


def test_an_unknown_channel_names_the_nearest(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="no channel 'AA'"):
        TileStore(dataset, ("AA",))


def test_many_threads_share_few_maps(
    dataset: Dataset, pixels: npt.NDArray[np.generic], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps are dropped and made again under the feet of other threads; the pixels stay right."""
    monkeypatch.setattr(store_module, "_OPEN_MAPS", 1)
    store = TileStore(dataset)
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            ids = rng.integers(0, len(pixels), 12)
            if not np.array_equal(gathered(store, ids.tolist()), pixels[ids]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(store._maps) == 1


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_embeddings_come_back_row_by_row(tmp_path: Path, dataset: Dataset, compression: str | None) -> None:
    file, values = embeddings_file(tmp_path, dataset, compression)
    store = EmbeddingStore(file, dataset)
    assert (store._rows is None) == (compression is not None)
    assert (store.sample_shape, store.dtype, len(store)) == ((5,), np.float32, len(values))
    ids = [3, 0, 3, 12, 11]
    assert np.array_equal(gathered(store, ids), values[ids])
    with pytest.raises(IndexError):
        gathered(store, [len(values)])


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_means_of_embeddings_are_those_of_the_rows(
    tmp_path: Path, dataset: Dataset, compression: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings_module, "_BAGS_AT_ONCE", 1)
    file, values = embeddings_file(tmp_path, dataset, compression)
    store = EmbeddingStore(file, dataset)
    ids = np.array([[3, 0, 3], [12, 11, 1]])
    expected = values[ids].astype(np.float64).mean(axis=1).astype(np.float32)
    assert np.array_equal(store.means(ids), expected)
    assert np.array_equal(store.means(ids[:, ::2]), values[ids[:, ::2]].astype(np.float64).mean(axis=1).astype("f4"))
    for wrong in (-1, len(values)):
        with pytest.raises(IndexError):
            store.means(np.array([[0, wrong]]))


def test_embeddings_of_another_dataset_are_refused(tmp_path: Path, dataset: Dataset) -> None:
    other = make_dataset(tmp_path / "other", seed=1)
    assert dataset_digest(other) != dataset_digest(dataset)
    file, _ = embeddings_file(tmp_path, dataset)
    with pytest.raises(DatasetError, match=r"but .*other is .*; embed again: wellstream embed RUN --data .*other"):
        EmbeddingStore(file, other)


def test_what_is_no_embeddings_file(tmp_path: Path, dataset: Dataset) -> None:
    (tmp_path / "text.h5ad").write_text("no HDF5")
    anndata.AnnData(X=np.zeros((2, 2), np.float32)).write_h5ad(tmp_path / "plain.h5ad")
    for name in ("text.h5ad", "plain.h5ad", "missing.h5ad"):
        with pytest.raises(InputError, match=r"a file of tile embeddings.*make one with: wellstream embed"):
            EmbeddingStore(tmp_path / name, dataset)
    wide = anndata.AnnData(X=np.zeros((2, 2)), uns={"wellstream": {"dataset_digest": "x"}})
    wide.write_h5ad(tmp_path / "float64.h5ad")
    with pytest.raises(InputError, match="expected X as a dense float32 matrix"):
        EmbeddingStore(tmp_path / "float64.h5ad", dataset)


def test_the_digest_names_the_pixels_not_the_folder(tmp_path: Path) -> None:
    one, same = make_dataset(tmp_path / "a"), make_dataset(tmp_path / "b")
    assert dataset_digest(one) == dataset_digest(same)
    assert dataset_digest(one) != dataset_digest(make_dataset(tmp_path / "c", size=8))


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("channels", [("A", "B", "C"), ("B", "C"), ("C", "A")])
def test_bags_scattered_tiles_and_single_ones_by_any_number_of_cores(
    dataset: Dataset, pixels: npt.NDArray[np.generic], cores: int, channels: tuple[str, ...]
) -> None:
    """Shards of 7, 9 and 1 tiles: long stretches of one shard, changes at every tile, and both together."""
    store = TileStore(dataset, channels, decoders=3)
    columns = ["ABC".index(channel) for channel in channels]
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        for ids in ([6, 0, 3, 3, 1, 15, 8, 7, 9], [0, 7, 1, 8, 16, 2], [16], [5, 4, 3, 16, 0, 1, 2, 15, 14, 13], []):
            assert np.array_equal(gathered(store, ids), pixels[ids][:, columns])
    finally:
        torch.set_num_threads(before)


def test_mapped_bytes_outlive_the_store_and_raise_no_warning(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mapped = TileStore(dataset)._mapped(0)
    gc.collect()
    assert mapped.tobytes() == (tmp_path / dataset.manifest.shards[0].name).read_bytes()
