"""A file written front to back whose checksums are known when its last byte is."""

from __future__ import annotations

import hashlib
from typing import Protocol

import numpy as np
from imagecodecs import deflate_crc32

from framework.data.schema import CHECKSUM_BLOCK_BYTES


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
        self._hash = hashlib.sha256()
        self._blocks: list[int] = []
        self.nbytes = 0

    def put(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._hash.update(data)
        # Cut at the ends of blocks.
        view = np.frombuffer(data, dtype=np.uint8) if memoryview(data).nbytes else np.zeros(0, np.uint8)
        at = 0
        while at < len(view):
            filled = self.nbytes % CHECKSUM_BLOCK_BYTES
            piece = view[at : at + CHECKSUM_BLOCK_BYTES - filled]
            if not filled:
                self._blocks.append(0)
            # It takes any buffer; its annotation names fewer.
            self._blocks[-1] = deflate_crc32(piece, self._blocks[-1])  # type: ignore[arg-type]
            self.nbytes += len(piece)
            at += len(piece)

    @property
    def sha256(self) -> str:
        """SHA-256 of all bytes so far."""
        return self._hash.hexdigest()

    @property
    def block_sums(self) -> tuple[int, ...]:
        """CRC-32 of each block of ``CHECKSUM_BLOCK_BYTES``, the last one of what there is."""
        return tuple(self._blocks)
