"""A dataset through other libraries: the same pixels, whoever reads the files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset, stored_tiles
from torch.utils.data import DataLoader

from framework.errors import ConfigError, DatasetError, RegistryError
from wellstream import data as module
from wellstream import ingest, simulate_crops
from wellstream.data import Dataset


@pytest.fixture
def pixels(tmp_path: Path) -> tuple[Dataset, np.ndarray]:
    made = make_dataset(tmp_path / "d")
    return Dataset(made.root), stored_tiles(made)


def test_tiles_one_some_and_by_channel(pixels: tuple[Dataset, np.ndarray]) -> None:
    data, wanted = pixels
    assert len(data) == len(wanted)
    assert np.array_equal(data.tile(3), wanted[3])
    assert np.array_equal(data.tile(-1), wanted[-1])
    assert np.array_equal(data.read([5, 0, 5]), wanted[[5, 0, 5]])
    second = Dataset(data.opened.root, channels=data.channels[1:2])
    assert np.array_equal(second.tile(2), wanted[2][1:2])
    assert repr(data).startswith("Dataset '")
    assert len(data.bags) == data.opened.manifest.n_bags
    assert len(data.tiles) == len(data)
    assert np.array_equal(Dataset(data.opened.root, channels=data.channels[1]).tile(2), wanted[2][1:2])
    assert data.read([]).shape == (0, *wanted.shape[1:])
    with pytest.raises(IndexError, match=f"tile 9999: the dataset has {len(wanted)}, numbered from 0"):
        data.tile(9999)
    with pytest.raises(IndexError, match=f"tile -{len(wanted) + 1}: "):
        data.read([0, -len(wanted) - 1])
    with pytest.raises(IndexError, match=r"by whole numbers in a list, as \[0, 5\]; found \[1.5\]"):
        data.tile(1.5)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="no channel 'nope'"):
        Dataset(data.opened.root, channels=["nope"])


def test_a_picture_of_tiles(pixels: tuple[Dataset, np.ndarray]) -> None:
    data, _ = pixels
    figure = data.show([0, 1, 2], columns=2)
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 3
    assert [axes.get_title().split(":")[0] for axes in drawn] == ["0", "1", "2"]
    assert drawn[0].images[0].get_array().shape == (*data.tile(0).shape[1:], 3)
    one = [axes.get_title().split(":")[0] for axes in data.show(4).axes if axes.images]
    assert one == ["4"]
    with pytest.raises(ConfigError, match="expected a tile and a column or more, found 0 tiles, 6 columns"):
        data.show([])


def test_stock_webdataset_reads_the_same_pixels(pixels: tuple[Dataset, np.ndarray]) -> None:
    data, wanted = pixels
    read = [sample["npy"] for sample in data.to_webdataset()]
    assert np.array_equal(np.concatenate(read), wanted)
    with pytest.raises(DatasetError, match=r"layout 'tar'; use to_webdataset\(\)"):
        data.to_zarr()


def test_dask_reads_the_same_pixels(pixels: tuple[Dataset, np.ndarray]) -> None:
    data, wanted = pixels
    array = data.to_dask(tiles_per_block=5)
    assert (array.shape, array.dtype) == (wanted.shape, wanted.dtype)
    assert np.array_equal(array.compute(scheduler="synchronous"), wanted)
    assert array.mean().compute(scheduler="threads") == pytest.approx(wanted.mean())
    assert array.name == data.to_dask(tiles_per_block=5).name
    with pytest.raises(ConfigError, match="tiles_per_block: expected 1 or more, found 0"):
        data.to_dask(0)


def test_torch_reads_the_same_pixels_and_the_batches_of_training(pixels: tuple[Dataset, np.ndarray]) -> None:
    data, wanted = pixels
    loaded = torch.cat(list(DataLoader(data.to_torch(), batch_size=4)))
    assert np.array_equal(loaded.numpy(), wanted)
    plan = {"name": "tiles", "tiles": 4}
    batches = list(DataLoader(data.to_torch(plan, seed=3), batch_size=None))
    ids = torch.cat([batch["tile_ids"].flatten() for batch in batches])
    assert sorted(ids[: len(wanted)].tolist()) == list(range(len(wanted)))
    for batch in batches:
        expected = wanted[batch["tile_ids"].flatten().numpy()].astype(np.float32)
        assert np.array_equal(batch["tiles"].flatten(0, 1).numpy(), expected)
    other = [batch["tile_ids"] for batch in data.to_torch(plan, seed=3, epoch=1)]
    assert not torch.equal(other[0], batches[0]["tile_ids"])
    with pytest.raises(RegistryError, match="no plan is called 'tilez'"):
        data.to_torch({"name": "tilez"})
    with pytest.raises(RegistryError, match="no plan is called 'tilez'"):
        data.to_torch("tilez")
    with pytest.raises(ConfigError, match="tilez: unknown key"):
        data.to_torch({**plan, "tilez": 3})
    with pytest.raises(ConfigError, match="tiles: missing key"):
        data.to_torch("tiles")


def test_stock_zarr_reads_the_same_pixels_and_dask_opens_a_dataset_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = simulate_crops(tmp_path / "raw", proteins=3, fields=1, cells_per_field=4)
    pattern = r"(?P<protein>\w+)/\w+?_(?P<field>\d+)_rfp_(?P<cell>\d+)_(?P<channel>...)\.tif"
    reader = {"name": "crops", "path": made.out / "images", "pattern": pattern}
    config = {
        "kind": "cells",
        "name": "x",
        "channels": ["rfp", "gfp"],
        "sources": [{"name": "P", "reader": reader}],
        "tiles": {"size_px": 64, "dtype": "float32"},
        "bags": {"by": ["Metadata_Protein"]},
        "shards": {"layout": "zarr", "bags_per_shard": 2},
    }
    ingest(config, tmp_path / "data", workers=0)
    data = Dataset(tmp_path / "data")
    wanted = data.read(range(len(data)))
    arrays = data.to_zarr()
    assert len(arrays) == 2
    assert np.array_equal(np.concatenate([array[:] for array in arrays])[: len(wanted)], wanted)
    with pytest.raises(DatasetError, match=r"layout 'zarr'; use to_zarr\(\)"):
        data.to_webdataset()
    opened = []
    monkeypatch.setattr(module, "OpenedDataset", SimpleNamespace(open=lambda *of: opened.append(of) or data.opened))
    assert np.array_equal(data.to_dask(tiles_per_block=3).compute(scheduler="synchronous"), wanted)
    assert len(opened) == 1
