"""Stock readers of shards of samples: webdataset and litdata, over the same tiles written their way.

Each goes through its samples in its own order; a peer that is not installed is reported with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import webdataset

from benchmarks.harness import Arm
from benchmarks.synthetic import write_dataset
from framework.data.dataset import Dataset

_LITDATA_CHUNK = 64


def arms(
    folder: Path, dataset: Dataset, pixels: npt.NDArray[np.uint16], n_tiles: int, per_bag: int
) -> tuple[list[Arm], dict[str, str]]:
    """Return the arms that can run here, and why others cannot.

    Args:
        folder: for their files.
        dataset: with 64 tiles per sample.
        pixels: the same tiles.
        n_tiles: to read in one repetition.
        per_bag: tiles of a shard.
    """
    single = write_dataset(folder / "tar-1", pixels, per_bag, chunk=1)
    found = [
        _webdataset("webdataset, 64-tile samples, sequential", dataset, n_tiles),
        _webdataset("webdataset, one tile per sample, sequential", single, n_tiles),
    ]
    absent: dict[str, str] = {}
    try:
        found.append(_litdata(folder / "litdata", pixels, n_tiles))
    except ImportError as error:
        absent["litdata"] = str(error)
    try:
        found.append(_mosaicml(folder / "mosaicml", pixels, n_tiles))
    except ImportError as error:
        absent["mosaicml-streaming"] = str(error)
    return found, absent


def _until(samples: Callable[[], Iterable[npt.NDArray[Any]]], name: str, n_tiles: int) -> Arm:
    """An arm that reads until it has seen ``n_tiles``, beginning anew when an epoch ends."""

    def read(wanted: int) -> None:
        seen = 0
        while seen < wanted:
            for tiles in samples():
                seen += len(tiles) if tiles.ndim == 4 else 1
                if seen >= wanted:
                    break

    return Arm(name=name, work=lambda: read(n_tiles), first=lambda: read(240))


def _webdataset(name: str, dataset: Dataset, n_tiles: int) -> Arm:
    shards = [str(dataset.root / shard.name) for shard in dataset.manifest.shards]

    def samples() -> Iterable[npt.NDArray[Any]]:
        for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode():
            yield sample["npy"]

    return _until(samples, name, n_tiles)


def _litdata(folder: Path, pixels: npt.NDArray[np.uint16], n_tiles: int) -> Arm:
    import litdata
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    writer = BinaryWriter(str(folder), chunk_size=_LITDATA_CHUNK)
    for number, tile in enumerate(pixels):
        writer.add_item(number, {"tile": tile})
    writer.done()
    writer.merge()

    def samples() -> Iterable[npt.NDArray[Any]]:
        for sample in litdata.StreamingDataset(str(folder), shuffle=True):
            yield sample["tile"]

    return _until(samples, "litdata, shuffled iteration", n_tiles)


def _mosaicml(folder: Path, pixels: npt.NDArray[np.uint16], n_tiles: int) -> Arm:
    import streaming

    shape = ",".join(str(edge) for edge in pixels.shape[1:])
    with streaming.MDSWriter(out=str(folder), columns={"tile": f"ndarray:uint16:{shape}"}) as writer:
        for tile in pixels:
            writer.write({"tile": tile})

    def samples() -> Iterable[npt.NDArray[Any]]:
        for sample in streaming.StreamingDataset(local=str(folder), shuffle=True, batch_size=1):
            yield sample["tile"]

    return _until(samples, "mosaicml-streaming, shuffled iteration", n_tiles)
