"""Sharded Zarr v3, one tile per inner chunk and one bag per shard, raw or packed, read by stock libraries and by us.

zarr-python writes the arrays; ours reads the same files as a dataset, of which each file of the array is a shard.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec

from benchmarks.harness import Arm, Finding, Target, digest
from benchmarks.synthetic import RandomBags, manifest_of
from framework.data.dataset import Dataset, TileIndex
from framework.data.format.schema import BloscCodec as TileCodec
from framework.data.format.schema import ShardRecord
from framework.data.loading.loader import Loader
from framework.data.store import TileStore

COMPRESSED: dict[str, Literal["lz4", "zstd"]] = {"blosc-lz4": "lz4", "blosc-zstd": "zstd"}
KINDS = ("raw", *COMPRESSED)
_OVER_TENSORSTORE = 1.1
_CACHE_BYTES = 32 << 20
"""Of tensorstore: holds the indices of all shards, and few of the tiles."""
_Pixels = npt.NDArray[np.uint16]


def write(folder: Path, pixels: _Pixels, per_bag: int) -> dict[str, Path]:
    """Write an array per kind with zarr-python; return where they are."""
    found = {}
    for kind in KINDS:
        packing = COMPRESSED.get(kind)
        codec = None if packing is None else BloscCodec(typesize=2, cname=packing, clevel=5, shuffle="shuffle")
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


def dataset(kind: str, path: Path, n_tiles: int, per_bag: int) -> Dataset:
    """Return the files of an array as a dataset: offsets and lengths from the index at the end of each shard."""
    n_bags = n_tiles // per_bag
    names = [f"c/{bag}/0/0/0" for bag in range(n_bags)]
    places = [np.frombuffer((path / name).read_bytes()[-16 * per_bag - 4 : -4], "<u8").reshape(-1, 2) for name in names]
    offset, nbytes = np.concatenate(places).astype(np.int64).T
    records = [
        ShardRecord(name=name, bytes=(path / name).stat().st_size, blake3="0" * 64, tiles=per_bag) for name in names
    ]
    facts = {"layout": "zarr", "codec": TileCodec(cname=COMPRESSED[kind]) if kind in COMPRESSED else None}
    owner = np.repeat(np.arange(n_bags, dtype=np.int32), per_bag)
    index = TileIndex(
        bag=owner,
        shard=owner,
        offset=offset,
        bag_start=np.arange(n_bags + 1, dtype=np.int64) * per_bag,
        nbytes=nbytes.astype(np.int32),
    )
    manifest = manifest_of(records, n_tiles, **facts)
    return Dataset(root=path, manifest=manifest, bags=pd.DataFrame({"bag": range(n_bags)}), index=index)


def ours(kind: str, opened: Dataset, plan: RandomBags, out: _Pixels) -> list[Arm]:
    """Return the gather and the loader, which hands out stored integers, over an array."""
    store = TileStore(opened)

    def gather() -> None:
        for ids in plan.wanted:
            store.gather(ids.ravel(), out)

    def load() -> None:
        last = None
        for batch in Loader(store, plan, as_stored=True).batches(0, len(plan.wanted)):
            last = batch
        if last is not None:
            np.copyto(out, last.tiles.flatten(0, 1).numpy(), casting="unsafe")

    named = {f"wellstream gather, {kind}": gather, f"wellstream loader, {kind}": load}
    return [Arm(name=name, work=work, result=lambda: digest(out)) for name, work in named.items()]


def targets(names: Iterable[str]) -> tuple[Target, ...]:
    """Return what ours is to reach over the best way to use tensorstore, where that could run."""
    present = set(names)
    return tuple(
        Target(arm=f"wellstream {what}, {kind}", over=over, least=_OVER_TENSORSTORE)
        for kind in COMPRESSED
        for what in ("gather", "loader")
        for over in (f"tensorstore, {kind}", f"tensorstore at its best, {kind}")
        if over in present
    )


def of_decoding(seconds: Mapping[str, list[float]]) -> tuple[Finding, ...]:
    """What part of decompression, on as many threads, is reached: alone, and from the files into the batch."""
    return tuple(
        Finding(
            name=f"{arm}, of {limit}",
            value=statistics.median(seconds[over]) / statistics.median(seconds[arm]),
            unit="share",
        )
        for kind in COMPRESSED
        for arm in (f"wellstream {what}, {kind}" for what in ("gather", "loader"))
        for limit, over in (
            ("decoding alone", decode_alone(kind, cores())),
            ("decoding from the files into the batch", decode_in_place(kind)),
        )
    )


def cores() -> int:
    """How many this process may use: the threads of ours and of tensorstore."""
    return len(os.sched_getaffinity(0))


def arms(arrays: dict[str, Path], plan: RandomBags, out: _Pixels) -> tuple[list[Arm], dict[str, str]]:
    """Return ours, tensorstore and decompression alone on each kind, and why one cannot run."""
    found = [
        _decode_alone(kind, arrays[kind], plan, threads) for kind in COMPRESSED for threads in sorted({1, cores()})
    ]
    for kind in COMPRESSED:
        n_tiles = zarr.open_array(str(arrays[kind]), mode="r").shape[0]
        opened = dataset(kind, arrays[kind], n_tiles, plan.per_bag)
        found += [_decode_in_place(kind, opened, plan, out), *ours(kind, opened, plan, out)]
    try:
        found += [_random(f"tensorstore, {kind}", _tensorstore(path), plan, out) for kind, path in arrays.items()]
        found += [_best(f"tensorstore at its best, {kind}", arrays[kind], plan, out) for kind in COMPRESSED]
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


def _best(name: str, path: Path, plan: RandomBags, out: _Pixels) -> Arm:
    """Indices of shards in a cache, one thread per core, the reads of a step as one batch, straight into the buffer."""
    import tensorstore

    context = tensorstore.Context(
        {
            "cache_pool": {"total_bytes_limit": _CACHE_BYTES},
            "data_copy_concurrency": {"limit": cores()},
            "file_io_concurrency": {"limit": cores()},
        }
    )
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}, "recheck_cached_data": False}
    array = tensorstore.open(spec, context=context).result()
    target = tensorstore.array(out, context=context, copy=False, write=True)

    def work() -> None:
        for ids in plan.wanted:
            with tensorstore.Batch() as batch:
                done = target.write(array[ids.ravel()], batch=batch)
            done.result()

    return Arm(name=name, work=work, result=lambda: digest(out))


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


def decode_alone(kind: str, threads: int) -> str:
    """Name of the arm that only decompresses."""
    return f"{kind} decode alone, {threads} thread{'s' * (threads > 1)}"


def _decode_alone(kind: str, path: Path, plan: RandomBags, threads: int) -> Arm:
    """Decompress each wanted tile into a buffer a thread and do nothing else: what no reader of the array can avoid."""
    array = zarr.open_array(str(path), mode="r")
    ids = plan.wanted.reshape(-1)
    stored = array.oindex[ids[: min(len(ids), 240)]]
    encoded = [blosc.compress(one, COMPRESSED[kind].encode(), 5, blosc.SHUFFLE) for one in stored]
    pool = ThreadPoolExecutor(threads)

    def part(first: int) -> None:
        tile = np.empty(array.shape[1:], dtype=array.dtype)
        for number in range(first, len(ids), threads):
            blosc.decompress(encoded[number % len(encoded)], tile)

    return Arm(name=decode_alone(kind, threads), work=lambda: list(pool.map(part, range(threads))))


def decode_in_place(kind: str) -> str:
    """Name of the arm that decompresses from the files into the rows of a step."""
    return f"{kind} decode from the files into the batch, {cores()} threads"


def _decode_in_place(kind: str, opened: Dataset, plan: RandomBags, out: _Pixels) -> Arm:
    """Decompress as ``_decode_alone``, from bytes of all files into rows of a whole step: no cache holds these."""
    index, threads, pool = opened.index, cores(), ThreadPoolExecutor(cores())
    maps = [np.memmap(opened.root / shard.name, mode="r").data for shard in opened.manifest.shards]
    ends = index.offset + (0 if index.nbytes is None else index.nbytes)

    def part(first: int, ids: npt.NDArray[np.int64]) -> None:
        for row in range(first, len(ids), threads):
            tile = ids[row]
            blosc.decompress(maps[index.shard[tile]][index.offset[tile] : ends[tile]], out[row])

    def work() -> None:
        for ids in plan.wanted:
            list(pool.map(part, range(threads), [ids.ravel()] * threads))

    return Arm(name=decode_in_place(kind), work=work, result=lambda: digest(out))
