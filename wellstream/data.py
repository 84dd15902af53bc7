"""A dataset to look at, and the same files as objects of other libraries (webdataset, zarr, Dask, PyTorch)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import dask.array
import dask.base
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import webdataset
import zarr
from matplotlib.figure import Figure

from framework.config import load_config
from framework.data.dataset import Dataset as OpenedDataset
from framework.data.export import DatasetExport, export_dataset
from framework.data.loading.loader import Loader
from framework.data.plan import PLANS, PlanUniverse, build_plan
from framework.data.remote.cache import CacheConfig
from framework.data.store import TileStore
from framework.errors import ConfigError, DatasetError
from framework.progress import OnProgress
from framework.report.figures.images import channel_colours, composite
from framework.report.figures.scale import draw_scale_bar
from wellstream.torch_data import BatchesOfPlan, Tiles

_SHOWN = 12
_BLOCK_BYTES = 64 << 20


class Dataset:
    """A dataset that ``wellstream ingest`` made: tables, single tiles, pictures, and views for other libraries.

    Args:
        path: folder or URL (``https://``, ``s3://`` ...).
        channels: names to read, in this order, or one name; default: all as stored.
        cache: how a dataset behind a URL is kept on this machine; keys as in the section ``data.cache`` of a run.

    Raises:
        DatasetError: no finished dataset, or a channel it does not have.
        ConfigError: an option of ``cache`` that cannot be used.
    """

    def __init__(
        self, path: Path | str, *, channels: str | Sequence[str] | None = None, cache: Mapping[str, Any] | None = None
    ) -> None:
        self._cache = json.dumps(dict(cache or {}), sort_keys=True)
        self.opened = OpenedDataset.open(path, load_config(dict(cache or {}), CacheConfig))
        chosen = (channels,) if isinstance(channels, str) else tuple(channels or ())
        self.channels = chosen or self.opened.manifest.tile.channels
        self._store = TileStore(self.opened, self.channels)

    def __repr__(self) -> str:
        tile, name = self.opened.manifest.tile, self.opened.manifest.name
        shape = f"{len(self.channels)} x {tile.height} x {tile.width} {tile.dtype}"
        return (
            f"Dataset '{name}': {len(self)} tiles of {shape} in {self.opened.manifest.n_bags} bags, channels "
            f"{', '.join(self.channels)}"
        )

    def __len__(self) -> int:
        return len(self.opened.index)

    @property
    def bags(self) -> pd.DataFrame:
        """One row per bag, in bag order. A bag is a well, or for cropped cells what ``bags.by`` says."""
        return self.opened.bags

    @cached_property
    def tiles(self) -> pd.DataFrame:
        """One row per tile, in tile order: bag, place in the field, labels, ``Marker_*``."""
        return self.opened.tile_table()

    @property
    def markers(self) -> tuple[str, ...]:
        """Names of the measurements per tile."""
        return self.opened.manifest.markers

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the vectors per bag; ``opened.target(name)`` gives one as AnnData."""
        return self.opened.manifest.targets

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of the ingest about its input: what was joined, guessed or left out."""
        return self.opened.manifest.notes

    def tile(self, number: int) -> npt.NDArray[Any]:
        """Return the pixels of one tile, (C, H, W) as stored; negative numbers count from the end."""
        pixels: npt.NDArray[Any] = self.read([number])[0]
        return pixels

    def read(self, numbers: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the pixels of some tiles, (n, C, H, W) as stored, in the order asked for.

        Raises:
            IndexError: a number that no tile has; negative ones count from the end.
        """
        ids = self._numbered(numbers)
        out = np.empty((len(ids), *self._store.sample_shape), dtype=self._store.dtype)
        self._store.gather(ids, out)
        return out

    def show(self, tiles: int | Sequence[int] | None = None, *, columns: int = 6) -> Figure:
        """Return a figure of tiles in colour for a notebook. The contrast is that of the whole dataset.

        Args:
            tiles: numbers of tiles, or one number; default: up to 12, spread over the dataset.
            columns: tiles per line.

        Raises:
            ConfigError: no tile is asked for, or fewer than one per line.
            IndexError: a number that no tile has.
        """
        if tiles is None:
            tiles = np.unique(np.linspace(0, len(self) - 1, min(_SHOWN, len(self))).astype(int)).tolist()
        chosen = [tiles] if isinstance(tiles, int | np.integer) else [int(number) for number in tiles]
        if not chosen or columns < 1:
            raise ConfigError(
                f"show: expected a tile and a column or more, found {len(chosen)} tiles, {columns} columns"
            )
        pictures = composite(self.read(chosen), self.channels, self.opened.manifest.channel_statistics)
        lines = -(-len(chosen) // columns)
        figure = Figure(figsize=(1.6 * columns, 1.8 * lines), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for panel in axes:
            panel.set_axis_off()
        for panel, number, picture in zip(axes, chosen, pictures, strict=False):
            panel.imshow(picture, interpolation="nearest")
            draw_scale_bar(panel, self.opened.manifest.pixel_size_um, picture.shape[1], picture.shape[0])
            panel.set_title(f"{number}: {self._condition(number)}"[:28], fontsize=7)
        colours = zip(self.channels, channel_colours(self.channels), strict=True)
        figure.suptitle(", ".join(f"{channel} {name}" for channel, (name, _) in colours), fontsize=8)
        return figure

    def to_webdataset(self) -> webdataset.WebDataset:
        """Return stock webdataset over the shards: samples ``npy`` (n, C, H, W) and ``json``, all stored channels.

        Raises:
            DatasetError: shards are Zarr, or lie behind a URL.
        """
        self._need("tar", "to_zarr() or to_dask()")
        files = [str(self.opened.root / record.name) for record in self.opened.manifest.shards if record.tiles]
        return webdataset.WebDataset(files, shardshuffle=False).decode()

    def to_zarr(self) -> list[zarr.Array[Any]]:
        """Return stock zarr arrays (tiles, C, H, W), one per shard, all stored channels.

        Raises:
            DatasetError: shards are tarballs, or lie behind a URL.
        """
        self._need("zarr", "to_webdataset() or to_dask()")
        shards = [self.opened.root / record.name for record in self.opened.manifest.shards if record.tiles]
        folders = [next(parent for parent in shard.parents if parent.suffix == ".zarr") for shard in shards]
        return [zarr.open_array(folder, mode="r") for folder in dict.fromkeys(folders)]

    def to_dask(self, tiles_per_block: int | None = None) -> dask.array.Array:
        """Return a Dask array (tiles, C, H, W) in tile order, read lazily from any layout.

        Args:
            tiles_per_block: 1 or more; default: blocks of about 64 MiB.

        Raises:
            ConfigError: no tile per block.
        """
        if tiles_per_block is not None and tiles_per_block < 1:
            raise ConfigError(f"to_dask: tiles_per_block: expected 1 or more, found {tiles_per_block}")
        shape, dtype = (len(self), *self._store.sample_shape), self._store.dtype
        each = int(np.prod(self._store.sample_shape)) * dtype.itemsize
        step = tiles_per_block or max(1, _BLOCK_BYTES // each)
        starts = range(0, len(self), step)
        # The digest makes a process that has the dataset open see that it is another one now.
        source = (self.opened.where, self.channels, self._cache, self.opened.manifest.digest)
        name = f"wellstream-{dask.base.tokenize(source, step)}"
        graph = {
            (name, block, 0, 0, 0): (_block, *source, start, min(start + step, len(self)))
            for block, start in enumerate(starts)
        }
        chunks = (tuple(min(step, len(self) - start) for start in starts), *((size,) for size in shape[1:]))
        return dask.array.Array(graph, name, chunks, dtype=dtype)  # type: ignore[no-untyped-call]

    def export(
        self, out: Path | str, *, to: str, overrides: Sequence[str] = (), progress: OnProgress | None = None
    ) -> DatasetExport:
        """Write the cells, with the channels of this object, in a format for other programs.

        Args:
            out: folder to write; it must be new or empty.
            to: ``omezarr``, ``h5sc``, ``tiff``, ``webdataset``, or another entry of ``EXPORTS``.
            overrides: options of the format as text, such as ``["per=bag"]``.
            progress: called with ("export", done, total) in cells.

        Raises:
            WellstreamError: no such format or option, damaged pixels, or a folder that holds files.
        """
        return export_dataset(self.opened, out, to=to, channels=self.channels, overrides=overrides, progress=progress)

    def to_torch(
        self, plan: str | Mapping[str, Any] | None = None, *, seed: int = 0, epoch: int = 0
    ) -> torch.utils.data.Dataset[Any]:
        """Return a PyTorch dataset over the same bytes.

        Args:
            plan: None gives a map-style dataset: tile number -> (C, H, W) as stored. The name of a plan, or a mapping
                with the keys of the section ``plan`` of a run, such as ``{"name": "tiles", "tiles": 64}``, gives an
                iterable dataset: the batches of one epoch of training, with float32 ``tiles`` (K, N, C, H, W), ``bags``
                and ``tile_ids``.
            seed: seed of the plan.
            epoch: which epoch of the plan to give.

        Raises:
            ConfigError: no such plan, or an option that it does not have.
        """
        if plan is None:
            return Tiles(self)
        section = {"name": plan} if isinstance(plan, str) else dict(plan)
        known = PLANS.get(str(section.get("name", ""))).config
        options = load_config(section, known)
        everything = np.arange(len(self.bags), dtype=np.int64)
        universe = PlanUniverse.of(self.opened, everything, by=options.grouped_by)
        built = build_plan(options, universe, seed)
        return BatchesOfPlan(Loader(self._store, built), built.steps_per_epoch, epoch)

    def _numbered(self, numbers: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        asked, n = np.asarray(numbers), len(self)
        if asked.ndim != 1 or (asked.size and asked.dtype.kind not in "iu"):
            raise IndexError(f"tiles are asked for by whole numbers in a list, as [0, 5]; found {str(numbers)[:60]}")
        outside = asked[(asked < -n) | (asked >= n)]
        if outside.size:
            raise IndexError(f"tile {outside[0]}: the dataset has {n}, numbered from 0 to {n - 1}")
        return asked.astype(np.int64) % max(n, 1)

    def _condition(self, number: int) -> str:
        bag = self.bags.iloc[int(self.opened.index.bag[number])]
        names = ("Metadata_Perturbation", "Metadata_Stimulation")
        known = [str(bag[name]) for name in names if name in bag and str(bag[name]) not in ("", "none", "nan")]
        return " ".join(known) or str(bag["bag_name"])

    def _need(self, layout: str, instead: str) -> None:
        if self.opened.remote is not None:
            raise DatasetError(f"{self.opened.where}: its shards lie behind a URL; use {instead}, or copy it here")
        if self.opened.manifest.layout != layout:
            raise DatasetError(f"{self.opened.where}: has the layout '{self.opened.manifest.layout}'; use {instead}")


def _block(
    place: str, channels: tuple[str, ...], cache: str, digest: str | None, first: int, last: int
) -> npt.NDArray[Any]:
    """Read a block of tiles, wherever Dask runs it."""
    return _opened_here(place, channels, cache, digest).read(range(first, last))


@lru_cache(maxsize=8)
def _opened_here(place: str, channels: tuple[str, ...], cache: str, digest: str | None) -> Dataset:
    """Open a dataset once per process, not once per block."""
    return Dataset(place, channels=channels, cache=json.loads(cache))
