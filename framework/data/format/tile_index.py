"""Where every tile lies, in its field of view and in its shard.

The latter is a file that is mapped: ranks of a node share its pages, and opening it reads few of them.
``tiles.arrow`` repeats the columns of tiles.parquet that reading tiles needs: an Arrow IPC file with one record batch,
int32 ``bag``, int32 ``shard``, int64 ``offset``, and int32 ``nbytes`` where the dataset has a codec. Its metadata name
the tiles.parquet it was made from by its BLAKE3, so that an index of another build is refused without a look at its
columns. Any Arrow library reads it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from framework.errors import DatasetError
from framework.files.failures import check_regular, reading
from framework.files.parquet import open_parquet


def tile_corner(centre_px: npt.NDArray[Any], size_px: int) -> npt.NDArray[np.int64]:
    """Return the first row (or column) of the tile around each centre.

    Args:
        centre_px: (K,) positions, 0 is the middle of the first pixel.
        size_px: edge of a tile.

    Returns:
        int64 (K,); for an even edge the rounded centre is the pixel right after the middle of the tile.
    """
    return np.floor(np.asarray(centre_px, dtype=np.float64) + 0.5).astype(np.int64) - size_px // 2


_SOURCE = b"tiles.parquet"
_TYPES = {"bag": pa.int32(), "shard": pa.int32(), "offset": pa.int64(), "nbytes": pa.int32()}
_AGAIN = "make it again, from tiles.parquet: remove it and run the same 'wellstream ingest CONFIG --out FOLDER'"
_WHAT = "an index of tiles"
_COMPARED_WHOLE = 1 << 22
"""Tiles up to which each is compared with the bag it must belong to; of more, those of some bags are."""
_COMPARED_BAGS = 4096


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


def write_index(stream: BinaryIO, tiles: Path, checksum: str, *, coded: bool) -> None:
    """Write the index of a table of tiles; columns wait in temporary files beside the table, not in memory.

    Args:
        stream: empty.
        tiles: tiles.parquet, sorted by bag.
        checksum: checksum of that file.
        coded: whether tiles differ in length.
    """
    schema = _schema(coded).with_metadata({_SOURCE: checksum})
    with ExitStack() as files, open_parquet(tiles, then="ingest again") as table:
        n_tiles = table.metadata.num_rows
        columns = {field.name: _column(files, tiles.parent, field.type, n_tiles) for field in schema}
        done = 0
        for batch in table.iter_batches(columns=schema.names):
            for name, column in columns.items():
                column[done : done + len(batch)] = batch[name].to_numpy()
            done += len(batch)
        arrays = [
            pa.Array.from_buffers(_TYPES[name], n_tiles, [None, pa.py_buffer(column)])
            for name, column in columns.items()
        ]
        with pa.ipc.new_file(stream, schema) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def map_index(file: Path, where: str, checksum: str, counts: npt.NDArray[np.int64], *, coded: bool) -> TileIndex:
    """Map ``tiles.arrow``.

    Args:
        file: to map.
        where: it lies, as a message names it.
        checksum: recorded of tiles.parquet.
        counts: int64 (B,), tiles of each bag.
        coded: whether tiles differ in length.

    Raises:
        DatasetError: it is not an index, is cut off, or is of another build.
    """
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    check_regular(file, DatasetError, _WHAT, _AGAIN)
    with reading(where, DatasetError, _WHAT, _AGAIN):
        opened = pa.ipc.open_file(pa.memory_map(str(file)))
        schema = opened.schema
        batch = opened.get_batch(0) if opened.num_record_batches == 1 else None
        if batch is not None:
            batch.validate()
    if batch is None or not schema.remove_metadata().equals(_schema(coded)):
        found = ", ".join(f"{field.name} {field.type}" for field in schema)
        raise DatasetError(f"{where}: expected an index with the columns {_listed(coded)}, found {found}; {_AGAIN}")
    source = (schema.metadata or {}).get(_SOURCE, b"").decode("ascii", "replace")
    if len(batch) != starts[-1] or checksum != source:
        raise DatasetError(
            f"{where}: has {len(batch)} tiles and belongs to another tiles.parquet than the manifest (a stale "
            f"index); {_AGAIN}"
        )
    if any(column.null_count for column in batch.columns):
        raise DatasetError(f"{where}: has gaps; {_AGAIN}")
    columns: dict[str, Any] = {name: batch[name].to_numpy(zero_copy_only=True) for name in schema.names}
    _check_bags(columns["bag"], starts, where)
    return TileIndex(bag_start=starts, **columns)


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


def _check_bags(bag: npt.NDArray[np.int32], starts: npt.NDArray[np.int64], where: str) -> None:
    """Refuse an index whose tiles are not those of the bags that bags.parquet counts."""
    if len(bag) <= _COMPARED_WHOLE:
        wrong = not np.array_equal(bag, np.repeat(np.arange(len(starts) - 1), np.diff(starts)))
    else:
        filled = np.flatnonzero(np.diff(starts))
        some = filled[np.unique(np.linspace(0, len(filled) - 1, _COMPARED_BAGS).astype(np.int64))]
        wrong = bool(np.any(bag[starts[some]] != some) or np.any(bag[starts[some + 1] - 1] != some))
    if wrong:
        raise DatasetError(f"{where}: its bags do not have the numbers of tiles that bags.parquet says; {_AGAIN}")


def _column(files: ExitStack, folder: Path, kind: pa.DataType, length: int) -> npt.NDArray[Any]:
    dtype = np.dtype(kind.to_pandas_dtype())
    if not length:
        return np.empty(0, dtype)
    return np.memmap(files.enter_context(tempfile.TemporaryFile(dir=folder)), dtype, "w+", shape=(length,))


def _schema(coded: bool) -> pa.Schema:
    return pa.schema([pa.field(name, _TYPES[name], nullable=False) for name in _names(coded)])


def _names(coded: bool) -> Sequence[str]:
    return list(_TYPES) if coded else [name for name in _TYPES if name != "nbytes"]


def _listed(coded: bool) -> str:
    return ", ".join(f"{name} {_TYPES[name]}" for name in _names(coded))
