"""Shards: WebDataset tarballs written by arithmetic, so that the place of every tile is known as it is written.

One sample is a chunk of tiles of one bag: ``<key>.npy`` (n, C, H, W) and ``<key>.json``. Headers hold no time, user or
host, so equal tiles give equal bytes. Stock ``tarfile`` and ``webdataset`` read the result; a tile is also the plain
byte range ``[offset, offset + nbytes)`` of the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.lib.format as npy_format
import numpy.typing as npt
from pydantic import Field

from framework.config import StrictModel
from framework.errors import InputError

_BLOCK = 512
_MAX_MEMBER = 8**11  # eleven octal digits of the ustar size field
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class ShardsConfig(StrictModel):
    """How bags are packed.

    Attributes:
        layout: ``tar`` (WebDataset).
        bags_per_shard: consecutive wells of one plate in a shard; one shard is one task.
        chunk_tiles: tiles of one WebDataset sample, at most.
    """

    layout: Literal["tar"] = "tar"
    bags_per_shard: int = Field(default=8, ge=1)
    chunk_tiles: int = Field(default=64, ge=1)


def safe_name(text: str) -> str:
    """Return ``text`` as a part of a file name or sample key: letters, digits, ``_`` and ``-``, at most 60 of them."""
    return _UNSAFE.sub("_", text)[:60] or "_"


def safe_names(texts: Sequence[str]) -> dict[str, str]:
    """Return a distinct safe name for each distinct text; the second of two that become alike gets ``-2``."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in dict.fromkeys(texts):
        base = name = safe_name(text)
        count = 1
        while name.lower() in taken:  # file systems that ignore case
            count += 1
            name = f"{base}-{count}"
        taken.add(name.lower())
        names[text] = name
    return names


def random_order(n: int, seed: int, *labels: str) -> npt.NDArray[np.int64]:
    """Return a permutation of ``range(n)`` that depends on ``seed`` and ``labels`` alone.

    SplitMix64 (Steele 2014) of a counter, sorted: the same on every machine and with every NumPy.
    """
    digest = hashlib.sha256(json.dumps([seed, *labels]).encode()).digest()
    gamma, first, second = _MIX
    z = np.arange(1, n + 1, dtype=np.uint64) * gamma + np.uint64(int.from_bytes(digest[:8], "little"))
    z = (z ^ (z >> np.uint64(30))) * first
    z = (z ^ (z >> np.uint64(27))) * second
    return np.argsort(z ^ (z >> np.uint64(31)), kind="stable").astype(np.int64)


def ustar_header(name: str, size: int) -> bytes:
    """Return the 512-byte ustar header of a regular file of ``size`` bytes; mode 0644, user 0, time 0.

    Raises:
        InputError: a name over 100 bytes or a member over 8 GiB.
    """
    raw = name.encode("ascii")
    if len(raw) > 100 or size >= _MAX_MEMBER:
        raise InputError(
            f"shard member '{name}' of {size} bytes: names hold 100 bytes, members 8 GiB; lower shards.chunk_tiles"
        )
    fields = (
        raw.ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0" * 2,
        b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        b"0" + bytes(100),
        b"ustar\x0000",
    )
    header = b"".join(fields).ljust(_BLOCK, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the header of a .npy file (version 1.0, C order, little endian)."""
    buffer = io.BytesIO()
    descr = npy_format.dtype_to_descr(dtype.newbyteorder("<"))
    npy_format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


class ShardWriter:
    """Writes chunks to an open file front to back and says where each tile went.

    Attributes:
        nbytes: bytes written so far.
        tiles: tiles written so far.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.nbytes = 0
        self.tiles = 0

    def add(self, key: str, tiles: npt.NDArray[Any], facts: Mapping[str, Any]) -> npt.NDArray[np.int64]:
        """Append one sample.

        Args:
            key: sample key without dots.
            tiles: (n, C, H, W).
            facts: what ``<key>.json`` says.

        Returns:
            int64 (n,), first byte of each tile in the shard.
        """
        data = np.ascontiguousarray(tiles, dtype=tiles.dtype.newbyteorder("<"))
        head = npy_header(data.shape, data.dtype)
        self._put(ustar_header(f"{key}.npy", len(head) + data.nbytes))
        self._put(head)
        first = self.nbytes
        self._put(data.data)
        self._pad()
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        self._put(ustar_header(f"{key}.json", len(text)))
        self._put(text)
        self._pad()
        self.tiles += len(data)
        return first + np.arange(len(data), dtype=np.int64) * (data.nbytes // max(len(data), 1))

    def finish(self) -> str:
        """Write the end of the archive and return the SHA-256 of the whole file."""
        self._put(bytes(2 * _BLOCK))
        return self._hash.hexdigest()

    def _put(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.nbytes += data.nbytes if isinstance(data, memoryview) else len(data)

    def _pad(self) -> None:
        self._put(bytes(-self.nbytes % _BLOCK))
