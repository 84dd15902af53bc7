"""Theme ``stream``: random bags from warm shards (20 wells x 12 random tiles of 3 x 128 x 128 uint16), one process.

Limit: ``memcpy`` of the same bytes from one contiguous array. Random arms must return the same pixels; webdataset reads
front to back, so it returns as many tiles, not the same ones, and its rate is its best case.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import webdataset

from benchmarks.harness import Arm, Measured, digest, measure
from data_tools.shards import ShardWriter
from framework.data.dataset import Dataset, TileIndex
from framework.data.schema import ChannelStatistics, Manifest, ShardRecord, TileFormat
from framework.data.store import TileStore

CHUNK = 64
BAGS_A_STEP, TILES_A_BAG = 20, 12
CHANNELS = ("a", "b", "c")
SIZE_PX = 128


def run(*, quick: bool) -> list[Measured]:
    """Build a dataset of random tiles and read random bags from it.

    Raises:
        WrongPixels: the arms disagree.
    """
    n_bags, per_bag, steps = (20, 128, 4) if quick else (40, 384, 16)
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as folder:
        dataset, pixels = build(Path(folder), n_bags, per_bag)
        random = np.random.default_rng(0)
        wanted = [_random_bags(random, n_bags, per_bag) for _ in range(steps)]
        out = np.empty((BAGS_A_STEP * TILES_A_BAG, *pixels.shape[1:]), dtype=np.uint16)
        arms = [*_arms(dataset, pixels, wanted, out), _webdataset(dataset, steps * len(out))]
        seconds = measure(arms, 3 if quick else 7)
    targets = {"wellstream gather": 0.65}
    return [
        Measured(theme="stream", unit="tiles", items=steps * len(out), seconds=seconds, limit="memcpy", targets=targets)
    ]


def build(folder: Path, n_bags: int, per_bag: int) -> tuple[Dataset, npt.NDArray[np.uint16]]:
    """Write one shard a bag; return the opened dataset and all its pixels, uint16 (T, C, H, W)."""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 4096, (n_bags * per_bag, len(CHANNELS), SIZE_PX, SIZE_PX), dtype=np.uint16)
    (folder / "shards").mkdir()
    records, offsets = [], []
    for bag in range(n_bags):
        name = f"shards/shard-{bag:06d}.tar"
        with (folder / name).open("wb") as file:
            writer = ShardWriter(file)
            for start in range(0, per_bag, CHUNK):
                first = bag * per_bag + start
                offsets.append(writer.add(f"{bag}_{start}", pixels[first : first + CHUNK], {"bag": bag}))
            checksum = writer.finish()
            records.append(ShardRecord(name=name, bytes=writer.nbytes, sha256=checksum, tiles=per_bag))
    index = TileIndex(
        bag=np.repeat(np.arange(n_bags, dtype=np.int32), per_bag),
        shard=np.repeat(np.arange(n_bags, dtype=np.int32), per_bag),
        offset=np.concatenate(offsets),
        bag_start=np.arange(n_bags + 1, dtype=np.int64) * per_bag,
    )
    statistics = ChannelStatistics(mean=0.0, sd=1.0, percentiles={})
    manifest = Manifest(
        schema_version=1,
        name="bench",
        tile=TileFormat(channels=CHANNELS, height=SIZE_PX, width=SIZE_PX),
        pixel_size_um=None,
        chunk_tiles=CHUNK,
        n_plates=1,
        n_bags=n_bags,
        n_tiles=len(pixels),
        n_nuclei=len(pixels),
        channel_statistics=dict.fromkeys(CHANNELS, statistics),
        source={},
        versions={},
        files=(),
        shards=tuple(records),
    )
    return Dataset(root=folder, manifest=manifest, bags=pd.DataFrame({"bag": range(n_bags)}), index=index), pixels


def _random_bags(random: np.random.Generator, n_bags: int, per_bag: int) -> npt.NDArray[np.int64]:
    bags = random.choice(n_bags, BAGS_A_STEP, replace=False)
    tiles = np.stack([random.choice(per_bag, TILES_A_BAG, replace=False) for _ in bags])
    return (bags[:, None] * per_bag + tiles).ravel().astype(np.int64)


def _arms(
    dataset: Dataset, pixels: npt.NDArray[np.uint16], wanted: list[npt.NDArray[np.int64]], out: npt.NDArray[np.uint16]
) -> list[Arm]:
    store = TileStore(dataset)

    def memcpy() -> None:
        for step in range(len(wanted)):
            start = (step * len(out)) % (len(pixels) - len(out))
            np.copyto(out, pixels[start : start + len(out)])

    def take() -> None:
        for ids in wanted:
            np.take(pixels, ids, axis=0, out=out)

    def gather() -> None:
        for ids in wanted:
            store.gather(ids, out)

    def result() -> str:
        return digest(out)

    return [
        Arm(name="memcpy", work=memcpy, is_limit=True),
        Arm(name="numpy take from memory", work=take, result=result),
        Arm(name="wellstream gather", work=gather, result=result),
    ]


def _webdataset(dataset: Dataset, n_tiles: int) -> Arm:
    shards = [str(dataset.root / shard.name) for shard in dataset.manifest.shards]

    def read() -> None:
        seen = 0
        for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode():
            seen += len(sample["npy"])
            if seen >= n_tiles:
                return

    return Arm(name="webdataset, 64-tile samples, sequential", work=read)
