"""Long files on their way to the disk past the system's cache, while the next bytes are being made.

A shard is written once and read much later, mostly by another process. Through the cache each of its pages would first
be found, cleared and copied into, which takes longer than the disk does, and would drive out what is still needed.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO

_MOST_BUFFERS, _BUFFER_BYTES = 64, 1 << 20
"""Tiles of a well come faster than a disk writes, then none while the next one is read: this much is kept meanwhile."""
_ALIGN = 4096
"""Direct writes begin and end at multiples of this, the block of every disk in use."""
_UNFIT = {errno.EINVAL, errno.ENOTSUP}


class DirectWriter:
    """Appends to an open, empty file from a thread, through as many buffers as the disk lags behind. A context manager.

    Where the file system takes no direct writes (some network mounts, memory) it goes through the cache. The bytes are
    there when the block has ended, and safe once the file is synced.

    Args:
        file: that nothing else writes to; it is not closed.

    Raises:
        OSError: of a write, at the latest when the block ends.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._handle = file.fileno()
        self._buffer = mmap.mmap(-1, _BUFFER_BYTES)
        self._free: list[mmap.mmap] = []
        self._filled = self._offset = 0
        self._is_direct = _set_direct(self._handle, True)
        self._thread = ThreadPoolExecutor(1)
        self._under_way: deque[Future[mmap.mmap]] = deque()

    def __enter__(self) -> DirectWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._submit()
                while self._under_way:
                    self._wait()
        finally:
            self._thread.shutdown(wait=True)

    def write(self, data: bytes | memoryview) -> int:
        """Append ``data``; return how many bytes."""
        view = memoryview(data)
        left = view.cast("B") if view.nbytes else view
        while left.nbytes:
            part = left[: _BUFFER_BYTES - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            left = left[len(part) :]
            if self._filled == _BUFFER_BYTES:
                self._hand_over()
        return view.nbytes

    def _hand_over(self) -> None:
        """Let the thread write what is filled, and go on with a buffer it has done with."""
        self._submit()
        while self._under_way and (self._under_way[0].done() or len(self._under_way) >= _MOST_BUFFERS):
            self._wait()
        # The one that was free last is likely still in the processor's cache.
        self._buffer = self._free.pop() if self._free else mmap.mmap(-1, _BUFFER_BYTES)

    def _submit(self) -> None:
        self._under_way.append(self._thread.submit(self._put, self._buffer, self._filled, self._offset))
        self._offset, self._filled = self._offset + self._filled, 0

    def _wait(self) -> None:
        self._free.append(self._under_way.popleft().result())

    def _put(self, buffer: mmap.mmap, size: int, offset: int) -> mmap.mmap:
        done = 0
        with memoryview(buffer) as view:
            while done < size:
                whole = (size - done) // _ALIGN * _ALIGN
                if self._is_direct and not whole:
                    self._is_direct = _set_direct(self._handle, False)  # the end of the file
                end = done + whole if self._is_direct else size
                try:
                    done += os.pwrite(self._handle, view[done:end], offset + done)
                except OSError as error:
                    if not self._is_direct or error.errno not in _UNFIT:
                        raise
                    self._is_direct = _set_direct(self._handle, False)
        return buffer


def _set_direct(handle: int, wanted: bool) -> bool:
    """Ask for writes past the cache, or no longer; return whether they go past it now."""
    flag = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(handle, fcntl.F_GETFL)
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | flag if wanted else flags & ~flag)
    except OSError as error:
        if error.errno not in _UNFIT:
            raise
        return False
    return wanted and bool(flag)
