"""Where every tile lies, in a file that is mapped: ranks of a node share its pages, and opening it reads none of them.

``tiles.index`` repeats columns of tiles.parquet and is made from it. After a header of 64 bytes come the columns, each
from a multiple of 64 bytes on, little endian: int64 first tile of each bag, with the number of tiles behind the last;
int64 offset; int32 bag; int32 shard; int32 nbytes where the dataset has a codec. The header names the tiles.parquet
they come from by its BLAKE3, so that an index of another build is refused without a look at its columns.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from framework.errors import DatasetError
from framework.files.parquet import open_parquet

_HEADER = struct.Struct("<8sQQB32s")
_MAGIC = b"WSINDEX1"
_ALIGN = 64
_AGAIN = "make it again, from tiles.parquet: remove it and run the same 'wellstream ingest CONFIG --out FOLDER'"


@dataclass(frozen=True, kw_only=True)
class TileIndex:
    """Where every tile lies, as columns of length T sorted by bag, and where each bag's tiles begin.

    Attributes:
        bag: int32 (T,), bag of each tile.
        shard: int32 (T,), index into ``Manifest.shards``.
        offset: int64 (T,), first byte of the tile in its shard.
        nbytes: int32 (T,), encoded bytes of each tile where the dataset has a codec; None where all are equal.
        bag_start: int64 (B + 1,); tiles of bag b are rows ``bag_start[b]:bag_start[b + 1]``.
    """

    bag: npt.NDArray[np.int32]
    shard: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    bag_start: npt.NDArray[np.int64]
    nbytes: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.bag)


def write_index(stream: BinaryIO, tiles: Path, checksum: str, n_bags: int, *, coded: bool) -> None:
    """Write the index of a table of tiles, some rows at a time.

    Args:
        stream: empty and seekable.
        tiles: tiles.parquet, sorted by bag.
        checksum: of that file.
        n_bags: of the dataset.
        coded: whether tiles differ in length.
    """
    with open_parquet(tiles, then="ingest again") as table:
        n_tiles = table.metadata.num_rows
        places = _places(n_tiles, n_bags, coded)
        stream.write(_HEADER.pack(_MAGIC, n_tiles, n_bags, coded, bytes.fromhex(checksum)))
        counts, done = np.zeros(n_bags, dtype=np.int64), 0
        columns = [name for name in places if name != "bag_start"]
        for batch in table.iter_batches(columns=columns):
            for name in columns:
                dtype, start, _ = places[name]
                stream.seek(start + done * dtype.itemsize)
                stream.write(batch[name].to_numpy().astype(dtype, copy=False).tobytes())
            counts += np.bincount(batch["bag"].to_numpy(), minlength=n_bags)
            done += len(batch)
    stream.seek(places["bag_start"][1])
    stream.write(np.concatenate([[0], np.cumsum(counts)]).astype("<i8").tobytes())
    stream.truncate(_size(places))


def map_index(file: Path, where: str, checksum: str | None, n_tiles: int, n_bags: int, *, coded: bool) -> TileIndex:
    """Map ``tiles.index``; what is read of it are the header and where bags begin.

    Args:
        file: to map.
        where: it lies, as a message names it.
        checksum: recorded of tiles.parquet; None where nothing is recorded.
        n_tiles: of the dataset.
        n_bags: of the dataset.
        coded: whether tiles differ in length.

    Raises:
        DatasetError: it is no index, is cut off, or is of another build.
    """
    with file.open("rb") as stream:
        head = stream.read(_HEADER.size)
    found = _HEADER.unpack(head) if len(head) == _HEADER.size and head.startswith(_MAGIC) else None
    places = _places(n_tiles, n_bags, coded)
    size = file.stat().st_size
    if found is None or size != _size(places):
        raise DatasetError(f"{where}: expected an index of {_size(places)} bytes, found {size}; {_AGAIN}")
    if found[1:4] != (n_tiles, n_bags, coded) or checksum not in (None, found[4].hex()):
        raise DatasetError(
            f"{where}: of {found[1]} tiles in {found[2]} bags and of another tiles.parquet than the manifest's: a "
            f"stale index; {_AGAIN}"
        )
    raw = np.memmap(file, np.uint8, "r")
    # As plain arrays: those of NumPy's subclass are slow to index, and what is taken from them is of it too.
    columns: dict[str, npt.NDArray[Any]] = {
        name: np.asarray(raw[start : start + dtype.itemsize * count].view(dtype))
        for name, (dtype, start, count) in places.items()
    }
    starts = columns["bag_start"]
    if starts[0] != 0 or starts[-1] != n_tiles or np.any(np.diff(starts) < 0):
        raise DatasetError(f"{where}: bags do not follow each other; {_AGAIN}")
    return TileIndex(**columns)


def differs(index: TileIndex, tiles: Path) -> bool:
    """Whether an index says otherwise than a table of tiles."""
    done = 0
    columns = ["bag", "shard", "offset", *(["nbytes"] if index.nbytes is not None else [])]
    with open_parquet(tiles, then="ingest again") as table:
        for batch in table.iter_batches(columns=columns):
            some = slice(done, done + len(batch))
            if not all(np.array_equal(getattr(index, name)[some], batch[name].to_numpy()) for name in columns):
                return True
            done += len(batch)
    starts = np.searchsorted(index.bag, np.arange(len(index.bag_start)))
    return done != len(index) or not np.array_equal(starts, index.bag_start)


def _places(n_tiles: int, n_bags: int, coded: bool) -> dict[str, tuple[np.dtype[Any], int, int]]:
    """Type, first byte and length of each column."""
    columns = [("bag_start", "<i8", n_bags + 1), ("offset", "<i8", n_tiles), ("bag", "<i4", n_tiles)]
    columns += [("shard", "<i4", n_tiles), *([("nbytes", "<i4", n_tiles)] if coded else [])]
    found, at = {}, _ALIGN
    for name, kind, count in columns:
        dtype = np.dtype(kind)
        found[name] = (dtype, at, count)
        at += -(-dtype.itemsize * count // _ALIGN) * _ALIGN
    return found


def _size(places: dict[str, tuple[np.dtype[Any], int, int]]) -> int:
    return max(start + dtype.itemsize * count for dtype, start, count in places.values())
