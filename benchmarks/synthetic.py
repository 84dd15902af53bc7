"""The dataset all streaming arms read: random tiles, one shard per bag, and which tiles each step wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.build.shard_file import DirectWriter
from data_tools.shards import ShardWriter
from framework.data.dataset import Dataset, TileIndex
from framework.data.format.schema import (
    PERCENTILES,
    SCHEMA_VERSION,
    ChannelStatistics,
    Manifest,
    ShardRecord,
    TileFormat,
)
from framework.data.permutation import I64
from framework.data.plan import StepRows

CHUNK = 64
CHANNELS = ("a", "b", "c")
SIZE_PX = 128
_LOW, _HIGH = 180, 420
"""Range of pixels: like a camera's background they fill the lower byte, which is what compression finds."""


@dataclass(frozen=True, kw_only=True)
class RandomBags:
    """A plan of given tiles: K random bags with N random tiles each, every step.

    Attributes:
        wanted: int64 (steps, K, N).
        per_bag: tiles of each bag.
    """

    wanted: I64
    per_bag: int
    unit: Literal["bag", "tile", "condition"] = "tile"
    excluded: tuple[()] = ()

    @classmethod
    def draw(cls, n_bags: int, per_bag: int, steps: int, rows: int, tiles: int) -> RandomBags:
        """Draw distinct bags for each step, and distinct tiles for each bag."""
        random = np.random.default_rng(0)
        wanted = np.empty((steps, rows, tiles), dtype=np.int64)
        for step in range(steps):
            bags = random.choice(n_bags, rows, replace=False)
            for row, bag in enumerate(bags):
                wanted[step, row] = bag * per_bag + random.choice(per_bag, tiles, replace=False)
        return cls(wanted=wanted, per_bag=per_bag)

    @property
    def rows(self) -> int:
        return self.wanted.shape[1]

    @property
    def tiles_per_row(self) -> int:
        return self.wanted.shape[2]

    @property
    def steps_per_epoch(self) -> int:
        return len(self.wanted)

    def at(self, step: int) -> StepRows:
        """Return the rows of a step; the plan repeats."""
        epoch, inside = divmod(step, len(self.wanted))
        tiles = self.wanted[inside]
        weights = np.ones(self.rows, dtype=np.float32)
        return StepRows(step=step, epoch=epoch, bags=tiles[:, 0] // self.per_bag, tiles=tiles, weights=weights)

    def visits(self, rows: StepRows) -> I64:
        """Return the distinct tiles."""
        return np.unique(rows.tiles)


def draw_pixels(n_tiles: int, size_px: int = SIZE_PX) -> npt.NDArray[np.uint16]:
    """Return uint16 (n_tiles, C, H, W)."""
    random = np.random.default_rng(1)
    return random.integers(_LOW, _HIGH, (n_tiles, len(CHANNELS), size_px, size_px), dtype=np.uint16)


def write_dataset(folder: Path, pixels: npt.NDArray[np.uint16], per_bag: int, chunk: int = CHUNK) -> Dataset:
    """Write tar shards, one per bag, with ``chunk`` tiles per sample."""
    n_bags = len(pixels) // per_bag
    (folder / "shards").mkdir(parents=True)
    records, offsets = [], []
    for bag in range(n_bags):
        name = f"shards/shard-{bag:06d}.tar"
        with (folder / name).open("wb") as stream, DirectWriter(stream) as file:  # as an ingest does
            writer = ShardWriter(file)
            for start in range(0, per_bag, chunk):
                first = bag * per_bag + start
                tiles = pixels[first : min(first + chunk, (bag + 1) * per_bag)]
                offsets.append(writer.add(f"{bag}_{start}", len(tiles), [tiles], {"bag": bag}))
            checksum = writer.finish()
        records.append(ShardRecord(name=name, bytes=writer.nbytes, blake3=checksum, tiles=per_bag))
    owner = np.repeat(np.arange(n_bags, dtype=np.int32), per_bag)
    index = TileIndex(
        bag=owner,
        shard=owner,
        offset=np.concatenate(offsets),
        bag_start=np.arange(n_bags + 1, dtype=np.int64) * per_bag,
    )
    bags = pd.DataFrame({"bag": range(n_bags)})
    manifest = manifest_of(records, len(pixels), size_px=pixels.shape[-1])
    return Dataset(root=folder, manifest=manifest, bags=bags, index=index)


def manifest_of(records: list[ShardRecord], n_tiles: int, size_px: int = SIZE_PX, **facts: Any) -> Manifest:
    """Return the manifest of random tiles in these shards; ``facts`` are further fields, as layout and codec."""
    middle = (_LOW + _HIGH) / 2
    statistics = ChannelStatistics(
        mean=middle, sd=(_HIGH - _LOW) / 12**0.5, percentiles=dict.fromkeys(PERCENTILES, middle)
    )
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="bench",
        tile=TileFormat(channels=CHANNELS, height=size_px, width=size_px),
        pixel_size_um=None,
        chunk_tiles=CHUNK,
        n_sources=1,
        n_bags=len(records),
        n_tiles=n_tiles,
        n_cells=n_tiles,
        channel_statistics=dict.fromkeys(CHANNELS, statistics),
        source={},
        versions={},
        files=(),
        shards=tuple(records),
        **facts,
    )
