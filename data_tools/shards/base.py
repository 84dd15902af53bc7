"""What both kinds of shards share: the order of what lies in them, a file summed up as it is written, and their writer.

Order and checksums are functions of the input alone, on every machine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from imagecodecs import deflate_crc32

from framework.data.format.schema import CHECKSUM_BLOCK_BYTES

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


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


Offsets = npt.NDArray[np.int64]
"""First byte of each tile in a shard."""
_PIECE = 1 << 19
"""Bytes that are hashed, summed and written together, while they lie in the processor's cache."""


class Writable(Protocol):
    """Anything that bytes are appended to."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append ``data``."""
        ...


class SummedStream:
    """Passes bytes on to an open file and sums them up.

    Attributes:
        nbytes: bytes written so far.
    """

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._hash = blake3()
        self._blocks: list[int] = []
        self.nbytes = 0

    def put(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        for start in range(0, len(view), _PIECE):
            self._put_piece(view[start : start + _PIECE])

    def _put_piece(self, view: memoryview) -> None:
        self._hash.update(view)
        self._file.write(view)
        at = 0
        while at < len(view):
            # Cut at the ends of blocks.
            filled = self.nbytes % CHECKSUM_BLOCK_BYTES
            piece = view[at : at + CHECKSUM_BLOCK_BYTES - filled]
            if not filled:
                self._blocks.append(0)
            # It takes any buffer; its annotation names fewer.
            self._blocks[-1] = deflate_crc32(piece, self._blocks[-1])  # type: ignore[arg-type]
            self.nbytes += len(piece)
            at += len(piece)

    @property
    def blake3(self) -> str:
        """BLAKE3 of all bytes so far."""
        return self._hash.hexdigest()

    @property
    def block_sums(self) -> tuple[int, ...]:
        """CRC-32 of each block of ``CHECKSUM_BLOCK_BYTES``, the last one of what there is."""
        return tuple(self._blocks)


class Shard:
    """Base of the writers of shards, each to an open file from front to back.

    Attributes:
        tiles: tiles written so far.
        tile_nbytes: int32 arrays; bytes that each tile takes, one array per chunk.
    """

    def __init__(self, file: Writable) -> None:
        self._stream = SummedStream(file)
        self.tiles = 0
        self.tile_nbytes: list[npt.NDArray[np.int32]] = []

    @property
    def nbytes(self) -> int:
        """Bytes written so far."""
        return self._stream.nbytes

    @property
    def block_sums(self) -> tuple[int, ...]:
        """CRC-32 of each block; complete after ``finish``."""
        return self._stream.block_sums
