"""Shards as Zarr v3 arrays with the sharding codec: one chunk per tile, one shard per file, the shard index at its end.

Written by arithmetic rather than through a Zarr library: those encode a whole shard in memory before its first byte
reaches the disk, and it must be known here where each tile went. Memory is a few tiles and 16 bytes per tile of
index. Sources: Zarr v3 specification, codecs ``sharding_indexed``, ``blosc`` and ``crc32c``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import google_crc32c
import imagecodecs
import numpy as np
import numpy.typing as npt

from data_tools.shards.base import Offsets, Shard, Writable
from framework.data.format.schema import BloscCodec
from framework.errors import InputError

_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
_MAX_TILE = 2**31 - 64  # of a Blosc frame, whose sizes are signed 32-bit with 16 bytes of header
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_LEAD_BYTES = 640
"""Zeros before the first chunk; the specification lets chunks begin anywhere. Large buffers begin 0 to 64 bytes after a
page: plain tiles that begin at a page would make every load of a copy wait for the store before it (half the speed)."""
DATA_KEY = "c/0/0/0/0"
"""File of the only shard of an array of four dimensions."""


class ZarrShardWriter(Shard):
    """Writes tiles to an open file front to back and says where each went; ``tile_nbytes`` are encoded bytes."""

    def __init__(self, file: Writable, codec: BloscCodec | None) -> None:
        super().__init__(file)
        self._codec = codec
        self._offsets: list[npt.NDArray[np.int64]] = []
        self._bags: dict[int, dict[str, Any]] = {}
        self._stream.put(bytes(_LEAD_BYTES))

    def add(self, key: str, count: int, pieces: Iterable[npt.NDArray[Any]], facts: Mapping[str, Any]) -> Offsets:
        """Append tiles of one bag.

        Args:
            key: not stored; a Zarr chunk has no name.
            count: tiles there are.
            pieces: these tiles, some at a time, (n, C, H, W).
            facts: facts of these, bag, plate, well and conditions become attributes of the array.

        Returns:
            int64 (count,), first byte of each encoded tile in the shard.

        Raises:
            InputError: a tile of 2 GiB and more.
            ValueError: other than ``count`` tiles came.
        """
        first, lengths = self.nbytes, np.empty(count, dtype=np.int32)
        tiles = (tile for piece in pieces for tile in piece)
        for row, tile in zip(range(count), tiles, strict=True):
            encoded = self._encoded(np.ascontiguousarray(tile, dtype=tile.dtype.newbyteorder("<")))
            self._stream.put(encoded)
            lengths[row] = len(encoded)
        offsets = first + np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)])[:count]
        known = ("bag", "plate", "well", "perturbation", "stimulation")
        bag = self._bags.setdefault(
            facts["bag"], {**{name: facts[name] for name in known if name in facts}, "first": self.tiles, "tiles": 0}
        )
        bag["tiles"] += count
        self.tiles += count
        self.tile_nbytes.append(lengths)
        self._offsets.append(offsets)
        return offsets

    def finish(self) -> str:
        """Write the shard index and return the BLAKE3 of the whole file."""
        places = np.empty((self.tiles, 2), dtype="<u8")
        places[:, 0] = np.concatenate([np.zeros(0, np.int64), *self._offsets])
        places[:, 1] = np.concatenate([np.zeros(0, np.int32), *self.tile_nbytes])
        index = places.tobytes()
        self._stream.put(index + google_crc32c.value(index).to_bytes(4, "little"))
        return self._stream.blake3

    def metadata(self, channels: tuple[str, ...], size_px: int, dtype: str) -> dict[str, Any]:
        """Return ``zarr.json`` of the array written so far."""
        item = np.dtype(dtype)
        shape = [self.tiles, len(channels), size_px, size_px]
        sharding = {
            "chunk_shape": [1, *shape[1:]],
            "codecs": [_LITTLE, *([] if self._codec is None else [_blosc(self._codec, item.itemsize)])],
            "index_codecs": [_LITTLE, {"name": "crc32c"}],
            "index_location": "end",
        }
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": shape,
            "data_type": dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0 if item.kind == "f" else 0,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "attributes": {"channels": list(channels), "bags": list(self._bags.values())},
            "dimension_names": ["tile", "channel", "y", "x"],
        }

    def _encoded(self, tile: npt.NDArray[Any]) -> bytes | memoryview:
        if tile.nbytes > _MAX_TILE:
            raise InputError(f"a tile of {tile.nbytes} bytes, but chunks hold at most 2 GiB; lower tiles.size_px")
        if self._codec is None:
            return tile.data.cast("B")
        # The array, not its bytes: the encoder takes the type size from it, without which shuffling moves nothing.
        pixels: Any = tile
        # One thread: with more, Blosc appends blocks in the order they finish, and equal tiles give unequal bytes.
        frame = imagecodecs.blosc_encode(
            pixels,
            level=self._codec.clevel,
            compressor=self._codec.cname,
            shuffle=_SHUFFLES[self._codec.shuffle],
            typesize=tile.dtype.itemsize,
            numthreads=1,
        )
        return bytes(frame)


def _blosc(codec: BloscCodec, typesize: int) -> dict[str, Any]:
    options = {"cname": codec.cname, "clevel": codec.clevel, "shuffle": codec.shuffle}
    return {"name": "blosc", "configuration": {**options, "typesize": typesize, "blocksize": 0}}
