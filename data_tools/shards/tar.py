"""Shards: WebDataset tarballs written by arithmetic, so that the place of every tile is known as it is written.

One sample is a chunk of tiles of one bag: ``<key>.npy`` (n, C, H, W) and ``<key>.json``. Headers hold no time, user or
host, so equal tiles give equal bytes. Stock ``tarfile`` and ``webdataset`` read the result; a tile is also the plain
byte range ``[offset, offset + nbytes)`` of the file.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.lib.format as npy_format
import numpy.typing as npt

from data_tools.shards.base import Offsets, Shard
from framework.errors import InputError

_BLOCK = 512
_MAX_NAME = 100


def ustar_header(name: str, size: int) -> bytes:
    """Return the 512-byte ustar header of a regular file of ``size`` bytes; mode 0644, user 0, time 0.

    Raises:
        InputError: a name over 100 bytes or a member over 8 GiB.
    """
    member = tarfile.TarInfo(name)
    member.size = size
    try:
        header = member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:
        header = b""
    # A name that is too long for its field would be split at a slash, which not every reader joins again.
    if len(name) > _MAX_NAME or len(header) != _BLOCK:
        raise InputError(
            f"shard member '{name}' of {size} bytes: at most 100 bytes for a name and 8 GiB for a member are "
            "possible; lower shards.chunk_tiles"
        )
    return header


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the header of a .npy file (version 1.0, C order, little endian)."""
    buffer = io.BytesIO()
    descr = npy_format.dtype_to_descr(dtype.newbyteorder("<"))
    npy_format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


class ShardWriter(Shard):
    """Writes chunks to an open file front to back and says where each tile went."""

    def add(self, key: str, count: int, pieces: Iterable[npt.NDArray[Any]], facts: Mapping[str, Any]) -> Offsets:
        """Append one sample.

        Args:
            key: sample key without dots.
            count: tiles of the sample.
            pieces: these tiles, some at a time, (n, C, H, W); a piece that stays in the processor's cache while it is
                summed and written costs least.
            facts: what ``<key>.json`` says.

        Returns:
            int64 (count,), first byte of each tile in the shard.

        Raises:
            ValueError: other than ``count`` tiles came.
        """
        added, first, each = 0, 0, 0
        for piece in pieces:
            data = np.ascontiguousarray(piece, dtype=piece.dtype.newbyteorder("<"))
            if not added:
                head = npy_header((count, *data.shape[1:]), data.dtype)
                each = data.itemsize * math.prod(data.shape[1:])
                self._stream.put(ustar_header(f"{key}.npy", len(head) + count * each))
                self._stream.put(head)
                first = self.nbytes
            self._stream.put(data.data)
            added += len(data)
        if added != count:
            raise ValueError(f"sample {key}: {added} tiles came, {count} were announced")
        self._pad()
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        self._stream.put(ustar_header(f"{key}.json", len(text)))
        self._stream.put(text)
        self._pad()
        self.tiles += count
        self.tile_nbytes.append(np.full(count, each, dtype=np.int32))
        return first + np.arange(count, dtype=np.int64) * each

    def finish(self) -> str:
        """Write the end of the archive and return the BLAKE3 of the whole file."""
        self._stream.put(bytes(2 * _BLOCK))
        return self._stream.blake3

    def _pad(self) -> None:
        self._stream.put(bytes(-self.nbytes % _BLOCK))
