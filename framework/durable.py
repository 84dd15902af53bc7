"""Files that are on the disk when a call returns: written beside, synced, renamed, the folder synced."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_ROOM_BYTES = 1 << 16


@contextmanager
def naming(place: Path | str) -> Iterator[None]:
    """Let an ``OSError`` of writing name ``place``, where the system or a library names nothing, or a temporary name.

    Libraries that write also say it in words of their own, or without a number: then it is that of a full disk where
    there is no room left.
    """
    try:
        yield
    except OSError as error:
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        if named and not any(".tmp-" in Path(name).name for name in named):
            raise
        number = error.errno or (errno.ENOSPC if _is_full(Path(place)) else None)
        if number is None:
            raise OSError(errno.EIO, str(error), str(place)) from error
        raise OSError(number, os.strerror(number), str(place)) from error


def _is_full(place: Path) -> bool:
    there = next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free < _ROOM_BYTES


def check_can_be_folder(place: Path | str) -> None:
    """Refuse a folder to write that cannot be one, before long work for it; make nothing.

    Raises:
        OSError: it, or a folder above it, is a file or closed to us; names that.
    """
    path = Path(place).absolute()
    there = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def sync_folder(folder: Path) -> None:
    """Make renames and new names inside ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(file: Path) -> None:
    """Make the content of ``file`` survive a power cut."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def write_text(file: Path, text: str) -> None:
    """Replace ``file`` by ``text`` (UTF-8) in one step: a reader sees the old content or the new, never a part."""
    write_with(file, lambda path: path.write_text(text, encoding="utf-8"))


def write_with(file: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(path)`` make a file beside ``file``, then put it there in one step: for libraries that want paths."""
    beside = file.with_name(f".{file.name}.tmp-{os.getpid()}")
    with naming(file):
        try:
            write(beside)
            sync_file(beside)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(file.parent)


def write_arrays(file: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Replace ``file`` by a compressed ``.npz`` of ``arrays``, in one step."""

    def write(path: Path) -> None:
        with path.open("wb") as stream:  # given a path, NumPy would add .npz to its temporary name
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    write_with(file, write)


def write_json(file: Path, value: Any) -> None:
    """Replace ``file`` by ``value`` as indented JSON, in one step."""
    write_text(file, json_text(value))


def json_text(value: Any) -> str:
    """Return readable JSON with sorted keys and a final newline: equal values, equal text."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
