"""Files that are either whole or absent, whatever moment the power fails: temporary name, fsync, rename, fsync folder.

Everything a build leaves behind passes through here, and every ``OSError`` of writing becomes a sentence.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from framework.data.schema import FileRecord
from framework.durable import json_text, sync_folder
from framework.errors import DatasetError

TEMPORARY_PREFIX = ".partial-"
_READ_BLOCK = 1 << 22
_WRITE_BEHIND = 1 << 23
_SYNC_FILE_RANGE_WRITE = 2
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}

T = TypeVar("T")


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an ``OSError`` of writing below ``folder`` into a DatasetError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DatasetError(
                f"{folder}: the disk is full ({error.strerror}); free space and run the same command again, finished "
                "shards are kept"
            ) from error
        if error.errno in _REFUSED:
            raise DatasetError(
                f"{error.filename or folder}: not writable ({error.strerror}); change its permissions or choose "
                "another folder, then run the same command again"
            ) from error
        raise DatasetError(f"{folder}: writing failed: {error}; run the same command again to continue") from error


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``file`` when the block ends well; on any error nothing is left."""
    temporary = temporary_name(file)
    with explained(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)


class WriteBehind:
    """A file on its way to the disk while it is still being written, so that it hardly takes memory meanwhile.

    Left alone, the system collects gigabytes of it before it begins, takes fresh memory for each, and lets the last
    ``fsync`` wait for all. Only hints: the bytes are as safe as ``replacing`` makes them.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written = self._begun = 0

    def write(self, data: bytes | memoryview) -> int:
        """Append ``data``."""
        self._file.write(data)
        self._written += memoryview(data).nbytes
        if self._written - self._begun >= _WRITE_BEHIND:
            self._begin()
        return memoryview(data).nbytes

    def _begin(self) -> None:
        handle = self._file.fileno()
        with suppress(AttributeError, OSError):  # hints that not every system or file system takes
            _start_writing(handle, self._begun, self._written - self._begun)
            os.posix_fadvise(handle, 0, max(0, self._begun - 2 * _WRITE_BEHIND), os.POSIX_FADV_DONTNEED)
        self._begun = self._written


def _start_writing(handle: int, offset: int, length: int) -> None:
    """Ask Linux to begin to write a range of a file, without waiting for it."""
    call = ctypes.CDLL(None).sync_file_range
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    call(handle, offset, length, _SYNC_FILE_RANGE_WRITE)


def temporary_name(file: Path) -> Path:
    """Return a name beside ``file`` that no other process uses."""
    return file.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{file.name}")


def write_with(file: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(path)`` make a temporary file, then put it at ``file`` durably; for libraries that want a path."""
    temporary = temporary_name(file)
    with explained(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)


def write_json(file: Path, value: Any) -> None:
    """Write ``value`` with sorted keys: equal values, equal bytes."""
    with replacing(file) as stream:
        stream.write(json_text(value).encode())


def record(file: Path, root: Path) -> FileRecord:
    """Return name, size and SHA-256 of a file of the dataset, reading 4 MiB at a time."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while block := stream.read(_READ_BLOCK):
            digest.update(block)
            size += len(block)
    return FileRecord(name=file.relative_to(root).as_posix(), bytes=size, sha256=digest.hexdigest())


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against a second ingest; the lock dies with the process, whatever kills it.

    Raises:
        DatasetError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(
                f"{folder}: another ingest is writing here; wait for it, or choose another folder"
            ) from None
        except OSError:
            # A file system without locks (some network mounts): builds are still correct one at a time.
            pass
        yield
    finally:
        os.close(handle)
