"""What a build adds to durable files: every ``OSError`` of writing becomes a sentence, and each file has a record."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from framework.data.format.checksum import file_checksum
from framework.data.format.schema import FileRecord
from framework.durable import sole_writer
from framework.errors import DatasetError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


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
def writing(folder: Path) -> Iterator[None]:
    """Make a folder, and turn an ``OSError`` of writing in it into a DatasetError as ``explained``."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        yield


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder of a dataset, which is made when missing, against a second ingest.

    Raises:
        DatasetError: another process holds it, or it cannot be made.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)

    def refused(_: str) -> DatasetError:
        return DatasetError(f"{folder}: another ingest is writing here; wait for it, or choose another folder")

    with sole_writer(folder, refused, is_folder=True):
        yield


def write_array(stream: BinaryIO, array: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy``; ``np.save`` writes to plain files by a call that does not say why it failed."""
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
    stream.write(array.data)


def record(file: Path, root: Path) -> FileRecord:
    """Return name, size and checksum of a file of the dataset."""
    name = file.relative_to(root).as_posix()
    return FileRecord(name=name, bytes=file.stat().st_size, blake3=file_checksum(file))


def is_whole(item: FileRecord, root: Path) -> bool:
    """Return whether a file of the dataset is there with its recorded size."""
    file = root / item.name
    return file.is_file() and file.stat().st_size == item.bytes
