"""Files that are either whole or absent, whatever moment the power fails: temporary name, fsync, rename, fsync folder.

Everything a build leaves behind passes through here, and every ``OSError`` of writing becomes a sentence.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from framework.data.format.checksum import file_checksum
from framework.data.format.schema import FileRecord
from framework.durable import json_text, sync_folder
from framework.errors import DatasetError

TEMPORARY_PREFIX = ".partial-"
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
        raise DatasetError(
            f"{folder}: writing failed: {error.strerror or error}; run the same command again to continue"
        ) from error


@contextmanager
def _put_in_place(file: Path) -> Iterator[Path]:
    """Give a name for a temporary file that becomes ``file`` when the block ends well; on any error nothing is left."""
    temporary = temporary_name(file)
    with explained(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes ``file`` durably when the block ends well; on any error nothing is left."""
    with _put_in_place(file) as temporary, temporary.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def temporary_name(file: Path) -> Path:
    """Return a name beside ``file`` that no other process uses."""
    return file.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{file.name}")


def write_with(file: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(path)`` make a temporary file, then put it at ``file`` durably; for libraries that want a path."""
    with _put_in_place(file) as temporary:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())


def write_array(stream: BinaryIO, array: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy``; ``np.save`` writes to plain files by a call that does not say why it failed."""
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
    stream.write(array.data)


def write_json(file: Path, value: Any) -> None:
    """Write ``value`` with sorted keys: equal values, equal bytes."""
    with replacing(file) as stream:
        stream.write(json_text(value).encode())


def record(file: Path, root: Path) -> FileRecord:
    """Return name, size and checksum of a file of the dataset."""
    name = file.relative_to(root).as_posix()
    return FileRecord(name=name, bytes=file.stat().st_size, blake3=file_checksum(file))


def is_whole(item: FileRecord, root: Path) -> bool:
    """Return whether a file of the dataset is there with its recorded size."""
    file = root / item.name
    return file.is_file() and file.stat().st_size == item.bytes


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
