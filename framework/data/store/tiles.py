"""Pixels of tiles: byte ranges of memory-mapped shards, copied into a given buffer.

Reading a batch creates no Python object per sample. The store is told which tiles go where and copies without the
interpreter lock, by one call for all tiles of a shard that follow each other in the buffer; any number of threads may
gather at once.
"""

from __future__ import annotations

import importlib
import mmap
import struct
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from framework.data.cores import decoders_per_process
from framework.data.dataset import Dataset
from framework.data.permutation import I64
from framework.data.store.base import check_request
from framework.data.store.block_check import BlockCheck
from framework.data.store.copying import copy_ranges, finish_streams, stream_tile
from framework.errors import DatasetError
from framework.files.failures import is_inside, reading

_OPEN_MAPS = 256
"""Mapped shards at a time; each holds a file descriptor, of which a process commonly has 1,024."""
_TILES_WORTH_CALL = 3
"""Tiles side by side in the buffer, of one shard; where there are fewer on average, all are copied shard by shard."""
_CACHED_BYTES = 8 << 20
"""Tiles of a larger request are written past the processor's cache: it would not hold them until they are used."""
_TASKS_PER_DECODER = 4
"""Number of decode tasks per thread."""

_FRAME = struct.Struct("<4xIII")
"""Header of a Blosc frame: bytes unpacked, of a block, packed."""


@cache
def _torch() -> Any:
    """Return PyTorch. It takes a second to load, and commands that open no pixels do without."""
    return importlib.import_module("torch")


def _begin_alone() -> None:
    importlib.import_module("framework.data.torch_threads").compute_alone()


class TileStore:
    """Pixels of a dataset, of all channels or some, from any layout.

    Args:
        dataset: the dataset.
        channels: names, in the order wanted; None takes all as stored.
        decoders: threads that unpack tiles of one ``gather`` where the dataset has a codec, or copy them where the
            caller's thread may use several cores; None for this process's share of the cores, 16 at most.
        check: compare each block of a shard with its checksum when a tile of it is first read.

    Raises:
        DatasetError: a shard is missing or has another size than recorded, a channel is unknown, or there are no
            checksums to compare with.
    """

    def __init__(
        self,
        dataset: Dataset,
        channels: tuple[str, ...] | None = None,
        *,
        decoders: int | None = None,
        check: bool = False,
    ) -> None:
        tile = dataset.manifest.tile
        self.dataset = dataset
        self.channels = tile.channels if channels is None else channels
        self.sample_shape: tuple[int, ...] = (len(self.channels), tile.height, tile.width)
        self.dtype: np.dtype[Any] = np.dtype(tile.dtype).newbyteorder("<")
        plane = tile.height * tile.width * self.dtype.itemsize
        wanted = np.asarray(dataset.channel_indices(self.channels), dtype=np.int64)
        # Byte ranges of one tile, from the stored one to the sample: one for each run of channels stored side by side.
        first = np.concatenate([[0], np.flatnonzero(np.diff(wanted) != 1) + 1])
        length = np.diff(first, append=len(wanted))
        self._pieces = np.stack([wanted[first], first, length], axis=1) * plane
        records = dataset.manifest.shards
        self._files = [] if dataset.remote else [_checked(dataset.root, file.name, file.bytes) for file in records]
        self._sizes = np.asarray([record.bytes for record in dataset.manifest.shards], dtype=np.int64)
        self._maps: OrderedDict[int, npt.NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted = None if np.array_equal(wanted, np.arange(len(tile.channels))) else wanted
        self._blocks = BlockCheck(dataset) if check else None
        self._decoders = decoders or decoders_per_process()
        # Starts no thread before its first task, so it costs nothing where it is not needed.
        self._pool = ThreadPoolExecutor(self._decoders, "tile-decoder", _begin_alone)

    def __len__(self) -> int:
        return len(self.dataset.index)

    def gather(self, tile_ids: I64, out: npt.NDArray[Any]) -> None:
        """Copy tiles into a buffer.

        Args:
            tile_ids: int64 (n,), rows of tiles.parquet, in any order, repeats allowed.
            out: (n, C, H, W) of the stored type, C-contiguous.

        Raises:
            IndexError: an id outside the dataset.
            ValueError: ``out`` has another shape, type or layout.
            DatasetError: the tile index points outside a shard, a compressed tile is damaged, or a block that is
                checked has another checksum.
        """
        check_request(self, tile_ids, out)
        self._check_inside(tile_ids)
        if self._blocks is not None:
            self._blocks.check(tile_ids, self._mapped)
        past_cache = out.nbytes > _CACHED_BYTES
        if self.dataset.manifest.codec is not None:
            self._gather_coded(tile_ids, out, past_cache)
            return
        # The threads of a loader, in which PyTorch has no others, share the cores already.
        if _torch().get_num_threads() == 1:
            self._copy(tile_ids, out, past_cache)
            return
        edges = np.linspace(0, len(tile_ids), self._decoders + 1).astype(np.int64).tolist()
        parts = [slice(first, last) for first, last in pairwise(edges) if last > first]
        for done in [self._pool.submit(self._copy, tile_ids[part], out[part], past_cache) for part in parts]:
            done.result()

    def _copy(self, tile_ids: I64, out: npt.NDArray[Any], past_cache: bool) -> None:
        """Copy tiles that are stored as they are, by one call per stretch of tiles of one shard."""
        shard, begin = self.dataset.index.shard[tile_ids], self.dataset.index.offset[tile_ids]
        rows = np.arange(len(tile_ids))
        if np.count_nonzero(np.diff(shard)) * _TILES_WORTH_CALL > len(shard):
            rows = np.lexsort((begin, shard))
            shard, begin = shard[rows], begin[rows]
        source, target, nbytes = self._pieces.T
        begin = (begin[:, None] + source).ravel()
        place = (rows[:, None] * nbytes.sum() + target).ravel()
        length = np.tile(nbytes, len(rows))
        edges = np.flatnonzero(np.diff(shard, prepend=-1, append=-1))
        for first, stop in pairwise((edges * len(nbytes)).tolist()):
            part = slice(first, stop)
            mapped = self._mapped(int(shard[first // len(nbytes)]))
            copy_ranges(mapped, begin[part], out, place[part], length[part], past_cache=past_cache)

    def _check_inside(self, tile_ids: I64) -> None:
        index = self.dataset.index
        begin, shard = index.offset[tile_ids], index.shard[tile_ids]
        length = self.dataset.manifest.tile.nbytes if index.nbytes is None else index.nbytes[tile_ids]
        known = (shard >= 0) & (shard < len(self._sizes)) & (begin >= 0)
        if not np.all(known) or np.any(begin + length > self._sizes[shard]):
            raise DatasetError(
                f"{self.dataset.where}: tiles.parquet points beyond the end of a shard; check everything with: "
                f"wellstream verify {self.dataset.where}"
            )

    def _gather_coded(self, tile_ids: I64, out: npt.NDArray[Any], past_cache: bool) -> None:
        """Unpack tiles in the order of the files, the parts of that order side by side.

        All parts go to the pool, none is done here: numcodecs unpacks on the main thread with a lock around it. There
        are more parts than threads, so that a thread which is held up leaves the rest to others.
        """
        index = self.dataset.index
        order = np.lexsort((index.offset[tile_ids], index.shard[tile_ids]))
        parts = np.array_split(order, min(_TASKS_PER_DECODER * self._decoders, len(order)) or 1)
        for done in [self._pool.submit(self._unpack, tile_ids, part, out, past_cache) for part in parts]:
            done.result()

    def _unpack(self, tile_ids: I64, rows: npt.NDArray[np.intp], out: npt.NDArray[Any], past_cache: bool) -> None:
        """Fill the rows of ``out``: straight, or by way of a tile that stays in the processor's cache."""
        index, lengths = self.dataset.index, self.dataset.index.nbytes
        if lengths is None:
            raise DatasetError(
                f"{self.dataset.where}: is compressed, but the sizes of its tiles are missing; ingest again"
            )
        straight = self._wanted is None and not past_cache
        scratch = np.empty(self.dataset.manifest.tile.shape, dtype=self.dtype)
        unpacked, flat = (array.reshape(-1).view(np.uint8) for array in (scratch, out))
        ids = tile_ids[rows]
        places = zip(
            rows.tolist(),
            ids.tolist(),
            index.shard[ids].tolist(),
            index.offset[ids].tolist(),
            lengths[ids].tolist(),
            strict=True,
        )
        previous, filled, current, packed = -1, -1, -1, memoryview(b"")
        for row, tile, shard, begin, length in places:
            if tile == previous:
                out[row] = out[filled]
                continue
            if shard != current:
                current, packed = shard, self._mapped(shard).data
            target = out[row] if straight else scratch
            frame = packed[begin : begin + length]
            try:
                _check_frame(frame, target.nbytes)
                blosc.decompress(frame, target)
            except (RuntimeError, ValueError) as error:
                name = self.dataset.manifest.shards[shard].name
                raise DatasetError(
                    f"{self.dataset.where}/{name}: bytes {begin} to {begin + length} (tile {tile}) hold no tile of "
                    f"this dataset ({error}); find all damage with: wellstream verify {self.dataset.where}"
                ) from None
            if self._wanted is not None:
                np.take(scratch, self._wanted, axis=0, out=out[row], mode="clip")
            elif past_cache:
                stream_tile(unpacked, flat, row)
            previous, filled = tile, row
        if past_cache:
            finish_streams()

    def _mapped(self, shard: int) -> npt.NDArray[np.uint8]:
        """The bytes of a shard, uint8; the least recently used map is dropped when there are too many."""
        with self._lock:
            found = self._maps.pop(shard, None)
            if found is not None:
                self._maps[shard] = found
                return found
        # A shard that has to be fetched first must not hold up threads whose shards are there.
        found = self._map(shard)
        with self._lock:
            self._maps[shard] = found
            # A thread that still copies from a dropped map keeps it alive by its own reference.
            while len(self._maps) > 1 and self._maps_too_much():
                self._maps.popitem(last=False)
            return found

    def _map(self, shard: int) -> npt.NDArray[np.uint8]:
        remote = self.dataset.remote
        # The cache's lock on a remote shard lives as long as the map.
        where, name = self.dataset.where, self.dataset.manifest.shards[shard].name
        then = f"find all damage with: wellstream verify {where}"
        with (
            reading(f"{where}/{name}", DatasetError, "a shard", then),
            self._files[shard].open("rb") if remote is None else remote.open_shard(shard) as file,
        ):
            found = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
            if len(found) != self._sizes[shard]:
                raise DatasetError(
                    f"{file.name}: has {len(found)} bytes, but had {self._sizes[shard]} when it was opened: "
                    "it changed while it was read; stop the program that writes there and run the same "
                    "command again"
                )
        return found

    def _maps_too_much(self) -> bool:
        remote = self.dataset.remote
        return len(self._maps) > _OPEN_MAPS or (
            remote is not None and int(self._sizes[list(self._maps)].sum()) > remote.share
        )


def _check_frame(frame: memoryview, nbytes: int) -> None:
    """Refuse a Blosc header that would make the decoder read beyond the frame or fill less than the tile."""
    if len(frame) < _FRAME.size:
        raise ValueError(f"{len(frame)} bytes are not a Blosc frame")
    unpacked, _, packed = _FRAME.unpack_from(frame)
    if (unpacked, packed) != (nbytes, len(frame)):
        raise ValueError(f"a frame of {unpacked} bytes packed to {packed}, expected {nbytes} packed to {len(frame)}")


def _checked(root: Path, name: str, size: int) -> Path:
    file = root / name
    repair = f"check everything with: wellstream verify {root}; then remove the folder and ingest again"
    if not is_inside(file, root):
        raise DatasetError(f"{root}: the manifest names a shard outside the dataset folder: '{name}'; {repair}")
    if not file.is_file():
        raise DatasetError(f"{file}: shard is missing, expected {size} bytes; {repair}")
    found = file.stat().st_size
    if found != size:
        raise DatasetError(f"{file}: shard is damaged, expected {size} bytes, found {found}; {repair}")
    return file
