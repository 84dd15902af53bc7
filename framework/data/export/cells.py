"""The cells of a dataset as exporters take them: bag by bag, pixels in blocks, and one row of facts per cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, CHECKSUMS_NAME, MARKER_PREFIX, SOURCE
from framework.data.permutation import I64
from framework.data.store import TileStore
from framework.files.names import safe_names

_BLOCK_BYTES = 64 << 20
_PLACES = ("site", "y_px", "x_px", "cell")


@dataclass(frozen=True, kw_only=True)
class Bag:
    """The cells of one bag.

    Attributes:
        number: number of the bag.
        source: the plate or export it comes from.
        name: the well, protein or sample.
        file_name: ``name`` as a name of a file, distinct within its source.
        tiles: int64 (n,), its tiles in order.
    """

    number: int
    source: str
    name: str
    file_name: str
    tiles: I64


class CellSource:
    """All cells of a dataset.

    Args:
        dataset: the dataset.
        channels: to export, in this order; none: all as stored.

    Attributes:
        dataset: the dataset.
        channels: channels that are exported.
        shape: (C, H, W) of a tile.
        dtype: dtype of stored pixels.

    Raises:
        DatasetError: a channel it does not have, or a shard that is not there.
    """

    def __init__(self, dataset: Dataset, channels: Sequence[str] = ()) -> None:
        manifest = dataset.manifest
        self.dataset = dataset
        self.channels = tuple(channels) or manifest.tile.channels
        # What leaves the dataset is compared with its checksums first.
        check = any(record.name == CHECKSUMS_NAME for record in manifest.files)
        self._store = TileStore(dataset, self.channels, check=check)
        self.shape: tuple[int, int, int] = (len(self.channels), manifest.tile.height, manifest.tile.width)
        self.dtype = self._store.dtype

    def __len__(self) -> int:
        return len(self.dataset.index)

    @property
    def nbytes(self) -> int:
        """Bytes of one tile."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @cached_property
    def source_names(self) -> dict[str, str]:
        """Plates, or exports of cells -> their names as names of files."""
        return safe_names(self.dataset.bags[SOURCE].tolist())

    def bags(self) -> Iterator[Bag]:
        """Yield every bag that has a tile, in order."""
        bags, starts = self.dataset.bags, self.dataset.index.bag_start
        files = {
            source: safe_names(group[BAG].tolist()) for source, group in bags.groupby(SOURCE, sort=False, observed=True)
        }
        for number, (source, name) in enumerate(zip(bags[SOURCE].tolist(), bags[BAG].tolist(), strict=True)):
            tiles = np.arange(starts[number], starts[number + 1], dtype=np.int64)
            if len(tiles):
                yield Bag(number=number, source=source, name=name, file_name=files[source][name], tiles=tiles)

    def read(self, tiles: I64) -> npt.NDArray[Any]:
        """Return pixels as stored, (n, C, H, W)."""
        out = np.empty((len(tiles), *self.shape), dtype=self.dtype)
        self._store.gather(tiles, out)
        return out

    def blocks(self, tiles: I64) -> Iterator[tuple[I64, npt.NDArray[Any]]]:
        """Yield (numbers, pixels) of some tiles in order, in blocks of at most 64 MiB."""
        step = max(1, _BLOCK_BYTES // self.nbytes)
        for first in range(0, len(tiles), step):
            part = tiles[first : first + step]
            yield part, self.read(part)

    @cached_property
    def places(self) -> pd.DataFrame:
        """One row per tile: ``bag``, ``site``, ``y_px``, ``x_px``, ``cell``."""
        return self.dataset.tile_table(["bag", *_PLACES])

    @cached_property
    def facts(self) -> pd.DataFrame:
        """One row per tile: its number, the labels of its bag, its place, its own labels and measurements."""
        labels = self.dataset.tile_labels()
        measured = [MARKER_PREFIX + name for name in self.dataset.manifest.markers]
        own = self.dataset.tile_table(["bag", *_PLACES, *labels, *measured])
        bags = self.dataset.bags
        shared = [SOURCE, BAG, *(name for name in bags if str(name).startswith("Metadata_") and name not in labels)]
        of_bags = bags[shared].iloc[own["bag"].to_numpy()].reset_index(drop=True)
        tiles = pd.DataFrame({"tile": np.arange(len(own), dtype=np.int64)})
        return pd.concat([tiles, of_bags, own.drop(columns="bag")], axis=1)
