"""Copies byte ranges of a shard into a batch, in one call without the interpreter lock.

A batch that is larger than the processor's cache is written past it. An ordinary write first reads the old content of
every line of memory, only to replace it, and what it leaves in the cache is displaced before anyone reads it. What is
read comes from pages of a file, where the processor looks ahead to the end of a page only; so lines of the next page
are asked for here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from framework.compiled import compiled, copy_bytes, fetch_line, finish_streaming, stream_line
from framework.data.permutation import I64

_LINE = np.uint64(64)
"""Bytes of a line of a cache."""
_AHEAD = np.uint64(4096)
"""Bytes between a line that is copied and the one that is asked for."""


def copy_ranges(
    shard: npt.NDArray[np.uint8], begin: I64, out: npt.NDArray[Any], place: I64, length: I64, *, past_cache: bool
) -> None:
    """Copy ranges of bytes.

    Args:
        shard: bytes of a shard.
        begin: int64 (n,), first byte of each range there.
        out: of any shape and type, C-contiguous.
        place: int64 (n,), first byte of each range in ``out``.
        length: int64 (n,), bytes of each range.
        past_cache: write past the processor's cache.

    Raises:
        IndexError: a range begins or ends outside ``shard`` or ``out``; nothing after it is copied.
    """
    if not _copied(shard, begin, out.reshape(-1).view(np.uint8), place, length, past_cache):
        raise IndexError("a range of bytes lies outside the shard or the batch")


@compiled
def stream_tile(tile: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8], row: int) -> None:
    """Copy a tile to a row of a batch past the processor's cache; ``finish_streams`` ends what several calls began.

    Args:
        tile: bytes of the tile, (n,).
        out: bytes of the batch, (rows * n,).
        row: row of the batch.

    Raises:
        IndexError: there is no such row.
    """
    if row < 0 or (row + 1) * len(tile) > len(out):
        raise IndexError("no such row of the batch")
    source, target = np.uint64(tile.ctypes.data), np.uint64(out.ctypes.data + row * len(tile))
    _stream(target, source, np.uint64(len(tile)), source)


@compiled
def finish_streams() -> None:
    """Let other threads see what was streamed before they see what is written from now on."""
    finish_streaming()


@compiled
def _copied(
    shard: npt.NDArray[np.uint8],
    begin: I64,
    out: npt.NDArray[np.uint8],
    place: I64,
    length: I64,
    past_cache: bool,
) -> bool:
    source, target = np.uint64(shard.ctypes.data), np.uint64(out.ctypes.data)
    last = len(begin) - 1
    for row in range(len(begin)):
        room = min(len(shard) - begin[row], len(out) - place[row])
        if min(begin[row], place[row], length[row]) < 0 or length[row] > room:
            return False
        read, written, nbytes = source + np.uint64(begin[row]), target + np.uint64(place[row]), np.uint64(length[row])
        if past_cache:
            _stream(written, read, nbytes, source + np.uint64(begin[min(row + 1, last)]))
        else:
            copy_bytes(written, read, nbytes)
    if past_cache:
        finish_streaming()
    return True


@compiled
def _stream(target: np.uint64, source: np.uint64, nbytes: np.uint64, following: np.uint64) -> None:
    """Copy bytes, and ask for the first of what is copied after them.

    What does not fill a whole line of the target is written the ordinary way, and so are few bytes.
    """
    if nbytes < 4 * _LINE:
        copy_bytes(target, source, nbytes)
        return
    head = (_LINE - target % _LINE) % _LINE
    lines = (nbytes - head) // _LINE
    copy_bytes(target, source, head)
    ahead = min(_AHEAD, nbytes)
    for line in range(lines):
        at = head + np.uint64(line) * _LINE
        wanted = at + ahead
        fetch_line(source + wanted if wanted < nbytes else following + (wanted - nbytes))
        stream_line(target + at, source + at)
    end = head + lines * _LINE
    copy_bytes(target + end, source + end, nbytes - end)
