"""The rows that a baseline describes: bags or tiles of a dataset, with some of their tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.permutation import I64
from framework.data.store import TileStore

_CHUNK = 256
FOR_NETWORKS = 16
"""Tiles that a network sees at once. Layers of more are larger than the blocks that the C library keeps for their next
use (32 MB), unless all are kept (``framework.allocator``), and fresh memory takes longer than the arithmetic. 256 tiles
of 3 x 224 x 224 at once took EfficientNet 17 s on two cores, 16 at a time 9 s, and 5 s with memory that is kept."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Bags or tiles, by their ids in a dataset.

    Attributes:
        dataset: they lie in.
        level: ``bag`` or ``tile``.
        ids: int64 (n,), increasing.
        channels: those that the model saw; None: all of the dataset.
        run: folder of the model; None where it is not known.
        tiles: int64 (t,), increasing: what pixels are read of. Each row of level ``tile`` is its own tile; of a bag
            some are drawn.
        row_of_tile: int64 (t,), place of each among ``ids``.
    """

    dataset: Dataset
    level: str
    ids: I64
    channels: tuple[str, ...] | None
    run: Path | None
    tiles: I64
    row_of_tile: I64

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        level: str,
        ids: I64,
        *,
        channels: tuple[str, ...] | None = None,
        run: Path | None = None,
        tiles_per_bag: int = 64,
        seed: int = 0,
    ) -> Rows:
        """Return rows; of each bag at most ``tiles_per_bag`` tiles are drawn, without repetition."""
        if level == "tile":
            tiles, row_of_tile = ids, np.arange(len(ids), dtype=np.int64)
        else:
            starts, random = dataset.index.bag_start, np.random.default_rng(seed)
            drawn = [_some(int(starts[bag]), int(starts[bag + 1]), tiles_per_bag, random) for bag in ids]
            tiles = np.concatenate([np.empty(0, np.int64), *drawn])
            row_of_tile = np.repeat(np.arange(len(ids), dtype=np.int64), [len(each) for each in drawn])
        return cls(
            dataset=dataset, level=level, ids=ids, channels=channels, run=run, tiles=tiles, row_of_tile=row_of_tile
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def bag(self) -> I64:
        """Bag of each row, (n,)."""
        return self.ids if self.level == "bag" else self.dataset.index.bag[self.ids].astype(np.int64)

    @property
    def bags(self) -> pd.DataFrame:
        """The bag table's columns of each row, (n rows)."""
        return self.dataset.bags.iloc[self.bag].reset_index(drop=True)

    def averaged(self, of_tiles: Floats) -> Floats:
        """Return the mean over the tiles of each row, (t, D) -> (n, D); NaN for a row without tiles."""
        counts = np.bincount(self.row_of_tile, minlength=len(self))
        sums = np.zeros((len(self), of_tiles.shape[1]))
        np.add.at(sums, self.row_of_tile, of_tiles)
        with np.errstate(invalid="ignore"):
            means: Floats = sums / counts[:, None]
        return means

    def pixels(self, at_once: int = _CHUNK) -> Iterator[npt.NDArray[Any]]:
        """Yield the tiles (m, C, H, W) as stored, ``at_once`` at a time, in the order of ``tiles``."""
        store = TileStore(self.dataset, self.channels)
        for start in range(0, len(self.tiles), at_once):
            ids = self.tiles[start : start + at_once]
            images = np.empty((len(ids), *store.sample_shape), dtype=store.dtype)
            store.gather(ids, images)
            yield images

    @property
    def seen_channels(self) -> tuple[str, ...]:
        """Names of the channels of ``pixels``."""
        return self.channels or tuple(self.dataset.manifest.tile.channels)


def _some(start: int, stop: int, limit: int, random: np.random.Generator) -> I64:
    if stop - start <= limit:
        return np.arange(start, stop, dtype=np.int64)
    return np.sort(random.choice(stop - start, limit, replace=False)).astype(np.int64) + start
