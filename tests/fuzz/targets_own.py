"""Targets: datasets of ours: opened, verified, checked as they are read, read from a URL, half built."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import anndata
import fsspec
import numpy as np
import pandas as pd
from fixtures.tiny_dataset import make_dataset
from fuzz.target import Target, of_files

from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.entry import ingest
from framework.config import parse_config
from framework.data.dataset import Dataset
from framework.data.remote.cache import CacheConfig
from framework.data.store import EmbeddingStore, TileStore, dataset_digest
from framework.data.verify import verify_dataset
from framework.files.npz import load_npy

INGESTED = """
kind: cells
name: tiny
sources:
  - name: S
    reader:
      name: stack
      path: {stack}
      channels: [a, b]
      labels: {{Metadata_Class: labels}}
      measurements: [area]
channels: [a, b]
tiles: {{size_px: 16}}
bags: {{by: [Metadata_Class]}}
markers: {{Area: area}}
shards: {{bags_per_shard: 1, layout: {layout}, codec: {codec}}}
"""


def _stack(folder: Path) -> Path:
    rng = np.random.default_rng(6)
    images = rng.poisson(50, (12, 2, 16, 16)).astype(np.uint16)
    np.savez(folder / "cells.npz", images=images, labels=np.array(["k0", "k1"] * 6), area=np.arange(12.0))
    return folder / "cells.npz"


def _dataset(layout: str, codec: str) -> Any:
    def make(folder: Path) -> None:
        text = INGESTED.format(stack=_stack(folder), layout=layout, codec=codec)
        ingest(parse_config(text, CellsIngestConfig, "ingest.yaml"), folder / "ds", workers=0)

    return make


def _opened(folder: Path) -> Any:
    return _contents(Dataset.open(folder / "ds"))


def _checked(folder: Path) -> Any:
    return _contents(Dataset.open(folder / "ds"), checked=True)


def _contents(dataset: Dataset, *, checked: bool = False) -> Any:
    tile = dataset.manifest.tile
    store = TileStore(dataset, check=checked)
    ids = np.arange(len(store), dtype=np.int64)
    out = np.empty((len(ids), len(tile.channels), tile.height, tile.width), dtype=tile.dtype)
    store.gather(ids, out)
    return {"bags": dataset.bags, "pixels": out, "channels": tile.channels, "pixel": dataset.manifest.pixel_size_um}


def _verified(folder: Path) -> Any:
    verify_dataset(folder / "ds")
    return _opened(folder) | {"tiles": Dataset.open(folder / "ds").tile_table()}


_MOST_SERVED = 1 << 26


def _with_tables(folder: Path) -> None:
    make_dataset(folder / "ds", markers=("m1",), targets={"rna": 5})


def _tables(folder: Path) -> Any:
    dataset = Dataset.open(folder / "ds")
    target, markers = dataset.target("rna"), dataset.markers(("m1",))
    return [
        markers,
        dataset.cells(),
        np.asarray(target.X),
        target.obs.astype(str),
        dataset.tile_table(),
    ]


def _remote(folder: Path) -> Any:
    """Read the dataset as behind a URL; what was cached by an earlier reading lies in ``cache``."""
    memory = fsspec.filesystem("memory")
    for file in (folder / "ds").rglob("*"):
        with contextlib.suppress(OSError):  # A server shows no file that it may not read.
            if file.is_file() and file.stat().st_size < _MOST_SERVED:
                memory.pipe(f"/fuzz/{file.relative_to(folder / 'ds')}", file.read_bytes())
    config = CacheConfig.from_plain({"folder": str(folder / "cache"), "stall_s": 1.0, "total_s": 5.0})
    return _contents(Dataset.open("memory://fuzz", config))


def _cached(folder: Path) -> None:
    _RAW(folder)
    _remote(folder)


class _Killed(BaseException):
    """Ends a build where a kill would."""


def _half_built(folder: Path) -> None:
    """Leave what a build leaves that is killed after its first shard."""
    os.chdir(folder)
    _stack(folder)
    replace, left = os.replace, [6]

    def dying(*args: Any, **more: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise _Killed
        replace(*args, **more)

    os.replace = dying  # type: ignore[assignment]
    try:
        _built()
    except _Killed:
        return
    raise AssertionError("the build was not killed")


def _built() -> None:
    text = INGESTED.format(stack="cells.npz", layout="tar", codec="null")
    ingest(parse_config(text, CellsIngestConfig, "ingest.yaml"), "ds", workers=0)


def _continued(folder: Path) -> Any:
    os.chdir(folder)
    _built()
    return _verified(folder)


def _lost_shard(folder: Path) -> None:
    os.chdir(folder)
    _stack(folder)
    _built()
    shutil.rmtree(folder / "ds" / "shards")
    (folder / "ds" / "shards").mkdir()


def _flat_field(folder: Path) -> None:
    np.save(folder / "flat.npy", np.ones((20, 30), np.float32))


def _read_flat_field(folder: Path) -> Any:
    return np.asarray(load_npy(folder / "flat.npy", what="a flat-field (.npy)", mapped=True))


def _embedded(folder: Path) -> None:
    """Leave embeddings of every tile, chunked and not, beside their dataset."""
    dataset = make_dataset(folder / "ds")
    values = np.random.default_rng(1).normal(size=(len(dataset.index), 4)).astype(np.float32)
    facts = {"wellstream": {"kind": "embeddings", "dataset_digest": dataset_digest(dataset), "weights": "w"}}
    data = anndata.AnnData(values, pd.DataFrame(index=[f"tile-{row}" for row in range(len(values))]), uns=facts)
    data.write_h5ad(folder / "plain.h5ad")
    data.write_h5ad(folder / "packed.h5ad", compression="gzip")


def _read_embedded(file: str) -> Any:
    def read(folder: Path) -> Any:
        store = EmbeddingStore(folder / file, Dataset.open(folder / "ds"))
        out = np.empty((len(store), *store.sample_shape), np.float32)
        store.gather(np.arange(len(store)), out)
        return out

    return read


_TABLES = ("dataset.json", "bags.parquet", "tiles.parquet", "tiles.arrow", "checksums.json")
_RAW = _dataset("tar", "null")
_PACKED = _dataset("zarr", "{id: blosc, cname: lz4}")
_OPENED = tuple(f"ds/{name}" for name in ("dataset.json", "bags.parquet", "tiles.arrow"))

TARGETS: list[Target] = [
    *of_files("opened dataset", _RAW, _OPENED, _opened, checked=True, command=("inspect", "{folder}/ds")),
    *of_files(
        "verified dataset",
        _RAW,
        (*(f"ds/{name}" for name in _TABLES), "ds/shards/*.tar"),
        _verified,
        checked=True,
        command=("verify", "{folder}/ds"),
    ),
    *of_files("verified dataset", _PACKED, ("ds/shards/**/*",), _verified, checked=True),
    *of_files("checked dataset", _RAW, ("ds/shards/*.tar",), _checked, checked=True),
    *of_files("checked dataset", _RAW, ("ds/checksums.json",), _checked),
    *of_files("read dataset", _PACKED, ("ds/shards/**/*",), _opened, needed=False),
    *of_files(
        "tables of a dataset",
        _with_tables,
        ("ds/targets/rna.h5ad", "ds/cells.parquet", "ds/tiles.parquet"),
        _tables,
        checked=True,
    ),
    *of_files("remote dataset", _RAW, ("ds/dataset.json", "ds/bags.parquet", "ds/shards/*.tar"), _remote, checked=True),
    *of_files("cached dataset", _cached, ("cache/**/*",), _remote, checked=True, needed=False),
    *of_files("half-built dataset", _half_built, ("ds/.build/*",), _continued, costly=True, checked=True, needed=False),
    *of_files(
        "repaired dataset", _lost_shard, ("ds/tiles.parquet", "ds/dataset.json"), _continued, costly=True, checked=True
    ),
    *of_files("stored embeddings", _embedded, ("plain.h5ad",), _read_embedded("plain.h5ad")),
    *of_files("stored embeddings", _embedded, ("packed.h5ad",), _read_embedded("packed.h5ad")),
    *of_files("flat-field", _flat_field, ("flat.npy",), _read_flat_field),
]
