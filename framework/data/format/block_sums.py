"""Checksums of the blocks of a file at the speed of reading it.

A block is summed where the page cache holds it, mapped and not copied, so memory is read once; what it does not hold
is read, because the kernel then brings it in by large pages, which are mapped at once by whoever comes later. CRC-32 is
the checksum because libdeflate computes it at twice the speed of CRC-32C, and outside the interpreter lock.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from imagecodecs import deflate_crc32

from framework.data.format.schema import BlockSums, ShardRecord
from framework.errors import DatasetError

_PIECE = 1 << 20
"""Bytes read and summed at a time: they are still in the core's cache when summed."""
_POPULATE_READ = 22
"""``MADV_POPULATE_READ`` of Linux 5.14, which Python has no name for: read into the mapping, or say why not."""
# Python's own madvise keeps the interpreter lock, also while the kernel waits for the disk.
_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@dataclass(frozen=True, kw_only=True)
class RecordedSums:
    """What ``checksums.json`` says of one shard.

    Attributes:
        block_bytes: of all blocks but the last, which is what remains.
        sums: CRC-32 of each block.
    """

    block_bytes: int
    sums: tuple[int, ...]


def crc32(data: npt.NDArray[np.uint8], before: int) -> int:
    """Return the CRC-32 of what had the sum ``before``, continued by bytes ``data``, (n,)."""
    # It takes any buffer; its annotation names fewer.
    return deflate_crc32(data, before)  # type: ignore[arg-type]


def recorded_sums(found: BlockSums, shards: Iterable[ShardRecord], file: Path | str) -> dict[str, RecordedSums]:
    """Return what is recorded of each shard, by its name in the manifest.

    Args:
        found: content of ``checksums.json``.
        shards: shards of the manifest.
        file: where ``found`` is from.

    Raises:
        DatasetError: a shard has another number of blocks, so these are not its checksums.
    """
    recorded = {name: RecordedSums(block_bytes=found.block_bytes, sums=sums) for name, sums in found.crc32.items()}
    for record in shards:
        sums = recorded.get(record.name)
        blocks = -(-record.bytes // found.block_bytes)
        if sums is not None and len(sums.sums) != blocks:
            raise DatasetError(
                f"{file}: lists {len(sums.sums)} checksums of {record.name}, which has {blocks} blocks of "
                f"{found.block_bytes} bytes: it belongs to another build; ingest again"
            )
    return recorded


def block_sums(file: Path, size: int, block: int) -> list[int]:
    """Return the CRC-32 of each ``block`` bytes of a file of ``size`` bytes.

    Raises:
        OSError: bytes that cannot be read.
    """
    if not size:
        return []
    handle = os.open(file, os.O_RDONLY)
    try:
        mapped = _map(handle, size)
        found = []
        for start in range(0, size, block):
            end = min(start + block, size)
            one = _sum_of_mapped(mapped, start, end) if mapped is not None and _is_there(handle, end) else None
            found.append(_sum_of_read(handle, start, end) if one is None else one)
        return found
    finally:
        os.close(handle)


def _is_there(handle: int, end: int) -> bool:
    """Return whether the byte before ``end`` is in memory."""
    try:
        return os.preadv(handle, [bytearray(1)], end - 1, os.RWF_NOWAIT) == 1
    except OSError:
        return False


def _map(handle: int, size: int) -> mmap.mmap | None:
    """None on a file system without mappings, and of a file that was cut meanwhile."""
    try:
        return mmap.mmap(handle, size, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None


def _sum_of_mapped(mapped: mmap.mmap, start: int, end: int) -> int | None:
    """None where a block cannot be brought into memory this way: touching it then could kill the process."""
    page = start // mmap.PAGESIZE * mmap.PAGESIZE
    pages = np.frombuffer(mapped, np.uint8, end - page, page)
    if _madvise(pages.ctypes.data, len(pages), _POPULATE_READ) != 0:
        return None
    found = crc32(pages[start - page :], 0)
    # Else the whole file counts as memory of this process.
    _madvise(pages.ctypes.data, len(pages), mmap.MADV_DONTNEED)
    return found


def _sum_of_read(handle: int, start: int, end: int) -> int:
    buffer, at, found = np.empty(_PIECE, dtype=np.uint8), start, 0
    while at < end:
        got = os.preadv(handle, [buffer[: min(_PIECE, end - at)].data], at)
        if not got:
            break
        found = crc32(buffer[:got], found)
        at += got
    return found
