"""Sharded Zarr v3, one tile an inner chunk and one bag a shard, raw and blosc-lz4, read by its stock libraries.

Arms of this project over the same arrays belong into ``arms``: they are given the folders and must fill ``out``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec

from benchmarks.harness import Arm, digest
from benchmarks.synthetic import RandomBags

KINDS = ("raw", "blosc-lz4")
_Pixels = npt.NDArray[np.uint16]


def write(folder: Path, pixels: _Pixels, per_bag: int) -> dict[str, Path]:
    """Write an array a kind with zarr-python; return where they are."""
    found = {}
    for kind in KINDS:
        codec = None if kind == "raw" else BloscCodec(typesize=2, cname="lz4", clevel=5, shuffle="shuffle")
        path = folder / f"zarr-{kind}"
        array = zarr.create_array(
            store=str(path),
            shape=pixels.shape,
            chunks=(1, *pixels.shape[1:]),
            shards=(per_bag, *pixels.shape[1:]),
            dtype=pixels.dtype,
            compressors=codec,
            fill_value=0,
        )
        for start in range(0, len(pixels), per_bag):
            array[start : start + per_bag] = pixels[start : start + per_bag]
        found[kind] = path
    return found


def arms(arrays: dict[str, Path], plan: RandomBags, out: _Pixels) -> tuple[list[Arm], dict[str, str]]:
    """Return tensorstore on each kind and decompression alone, and why one cannot run."""
    found: list[Arm] = [_decode_alone(arrays["blosc-lz4"], plan)]
    try:
        found += [_random(f"tensorstore, {kind}", _tensorstore(path), plan, out) for kind, path in arrays.items()]
    except ImportError as error:
        return found, {"tensorstore": str(error)}
    return found, {}


def slow_arms(arrays: dict[str, Path], plan: RandomBags, out: _Pixels) -> list[Arm]:
    """Return zarr-python, for one step: it needs seconds where others need milliseconds."""
    one = RandomBags(wanted=plan.wanted[:1], per_bag=plan.per_bag)
    return [_random(f"zarr-python oindex, {kind}", _zarr(path), one, out) for kind, path in arrays.items()] + [
        _random(f"zarr-python oindex, zarrs pipeline, {kind}", _zarrs(path), one, out)
        for kind, path in arrays.items()
        if _has_zarrs()
    ]


_Opened = Callable[[], Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]]


def _random(name: str, opened: _Opened, plan: RandomBags, out: _Pixels) -> Arm:
    read = opened()

    def work() -> None:
        for ids in plan.wanted:
            out[:] = read(ids.ravel())

    def first() -> None:
        out[:] = opened()(plan.wanted[0].ravel())

    return Arm(name=name, work=work, first=first, result=lambda: digest(out))


def _tensorstore(path: Path) -> _Opened:
    import tensorstore

    def opened() -> Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]:
        array = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}).result()
        return lambda ids: array[ids].read().result()

    return opened


def _zarr(path: Path) -> _Opened:
    def opened() -> Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]:
        array = zarr.open_array(str(path), mode="r")
        return lambda ids: np.asarray(array.oindex[ids])

    return opened


def _zarrs(path: Path) -> _Opened:
    def opened() -> Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]:
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            array = zarr.open_array(str(path), mode="r")
        return lambda ids: np.asarray(array.oindex[ids])

    return opened


def _has_zarrs() -> bool:
    try:
        import zarrs  # noqa: F401
    except ImportError:
        return False
    return True


def _decode_alone(path: Path, plan: RandomBags) -> Arm:
    """Decompress each wanted tile into one buffer and do nothing else: what no reader of this array can do without."""
    array = zarr.open_array(str(path), mode="r")
    tile = np.empty(array.shape[1:], dtype=array.dtype)
    ids = plan.wanted.reshape(-1)
    stored = array.oindex[ids[: min(len(ids), 240)]]
    encoded = [blosc.compress(one.tobytes(), b"lz4", 5, blosc.SHUFFLE) for one in stored]

    def work() -> None:
        for number in range(len(ids)):
            blosc.decompress(encoded[number % len(encoded)], tile)

    return Arm(name="blosc-lz4 decode alone", work=work)
