"""Files that are whole or absent, and on the disk when a call returns: written beside, synced, renamed, folder synced.

For folders and files with one writer at a time there is ``sole_writer``.

Their checksum is BLAKE3, 256 bits, as ``b3sum`` prints it. Every byte of a dataset passes through it once when it is
made and once when it is fetched. It goes at three times the rate of SHA-256 on processors with instructions for that,
at ten times on those without.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from blake3 import blake3

TEMPORARY_PREFIX = ".partial-"
"""What names of files begin with that are not yet in their place."""
_ROOM_BYTES = 1 << 16
_OF_RUST = re.compile(r"\(os error (\d+)\)")
"""How libraries in Rust, as safetensors, give the number of the system's error."""
_NO_FILE = "a pipe, socket or device"


@contextmanager
def naming(place: Path | str, *also: type[Exception]) -> Iterator[None]:
    """Let an ``OSError`` of writing name ``place``, where the system or a library names nothing, or a temporary name.

    Libraries that write also say it in words of their own, or without a number: then it is that of a full disk where
    there is no room left.

    Args:
        place: what is written.
        also: errors that a library raises in place of an ``OSError``; they become one.
    """
    try:
        yield
    except also as error:
        told = _OF_RUST.search(str(error))
        number = int(told[1]) if told else errno.ENOSPC if _is_full(Path(place)) else None
        if number is not None:
            raise OSError(number, os.strerror(number), str(place)) from error
        raise OSError(errno.EIO, " ".join(str(error).split()), str(place)) from error
    except OSError as error:
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        if named and not any(Path(name).name.startswith(TEMPORARY_PREFIX) for name in named):
            raise
        known = error.errno or (errno.ENOSPC if _is_full(Path(place)) else None)
        if known is None:
            raise OSError(errno.EIO, str(error), str(place)) from error
        raise OSError(known, os.strerror(known), str(place)) from error


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
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def check_can_be_file(file: Path | str) -> None:
    """Refuse a file to write that cannot be one, before long work for it; make nothing.

    Raises:
        OSError: it is a folder, or its folder cannot be one, as ``check_can_be_folder`` says.
    """
    if Path(file).is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    check_can_be_folder(Path(file).parent)


def open_in_place(file: Path, flags: int) -> int:
    """Open a file that is written where it lies (a lock, a log), and made when missing; return its handle.

    Raises:
        OSError: a link is there, which might lead to a file of somebody else, or no regular file.
    """
    try:
        handle = os.open(file, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        told = {errno.ELOOP: "a symbolic link, which is not written through", errno.ENXIO: _NO_FILE}
        raise OSError(error.errno, told.get(error.errno or 0, error.strerror), str(file)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.ENXIO, _NO_FILE, str(file))
    return handle


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
    with replacing_path(file) as beside:
        write(beside)


@contextmanager
def replacing_path(file: Path) -> Iterator[Path]:
    """Give the name of a file to make beside ``file``; else as ``replacing``. For libraries that want names."""
    with _put_in_place(file) as beside:
        yield beside
        sync_file(beside)


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """Open a file beside ``file`` that takes its place in one step when the block ends well; else nothing is left."""
    with _put_in_place(file) as beside, beside.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _put_in_place(file: Path) -> Iterator[Path]:
    """Give the name of a file that becomes ``file`` when the block ends well; on any error nothing of it is left."""
    if not file.name:  # "." and "/": there is no name beside them
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    beside = temporary_name(file)
    with naming(file):
        try:
            yield beside
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(file.parent)


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """Give a folder beside ``place`` that becomes ``place`` when the block ends well; else nothing of it is left.

    Raises:
        OSError: ``place`` holds files, or something in the block could not be written; it names ``place``, or the file
            below it.
    """
    check_can_be_folder(place)
    with folder_beside(place) as beside:
        beside.mkdir(parents=True)
        yield beside
        os.sync()
        beside.rename(place)
        sync_folder(place.parent)


@contextmanager
def folder_beside(place: Path) -> Iterator[Path]:
    """Give the name of a folder to make beside ``place``; what is still called so at the end of the block is removed.

    Errors of the block name files as they would be called in ``place``.

    Raises:
        OSError: something in the block could not be written; it names ``place``, or the file below it.
    """
    if not place.name:
        raise OSError(errno.EBUSY, "expected the name of a folder to make, such as 'out'", str(place))
    with _removed_at_end(temporary_name(place), place) as beside:
        yield beside


@contextmanager
def replacing_files(folder: Path, last: str) -> Iterator[Path]:
    """Give an empty folder whose files take their places in ``folder`` together when the block ends well.

    On any error of the block ``folder`` stays as it was. While they take their places ``last``, which speaks for the
    others, is not there: a reader finds all old files, all new ones, or none that speaks for them.

    Args:
        folder: made when missing; other files in it stay.
        last: name of the file that is put in place after all others.

    Raises:
        OSError: something could not be written; it names ``folder``, or the file in it.
    """
    check_can_be_folder(folder)
    was_there = folder.exists()
    try:
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with _removed_at_end(temporary_name(folder / last), folder) as beside:
            beside.mkdir()
            yield beside
            (folder / last).unlink(missing_ok=True)
            for file in sorted(beside.iterdir(), key=lambda file: (file.name == last, file.name)):
                file.replace(folder / file.name)
            sync_folder(folder)
    finally:
        if not was_there:
            with suppress(OSError):  # it holds the files, or was never made
                folder.rmdir()


@contextmanager
def _removed_at_end(beside: Path, place: Path) -> Iterator[Path]:
    """Give the name of a folder that errors of the block call ``place``, and remove it at the end."""
    try:
        yield beside
    except OSError as error:
        name = _seen_below(place, beside, error.filename)
        number = error.errno or (errno.ENOSPC if _is_full(place) else errno.EIO)
        if name is None:
            raise
        raise OSError(number, os.strerror(number), str(name)) from error
    except Exception as error:
        error.args = tuple(
            each.replace(str(beside), str(place)) if isinstance(each, str) else each for each in error.args
        )
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _seen_below(place: Path, beside: Path, named: object) -> Path | None:
    """Return the name of a file as it would be in ``place``; None of a file that lies elsewhere."""
    if named is None:
        return place
    path = Path(os.fsdecode(named) if isinstance(named, str | bytes) else str(named))
    return place / path.relative_to(beside) if path.is_relative_to(beside) else None


def temporary_name(place: Path) -> Path:
    """Return a name beside ``place``, of a file or a folder, that no other process uses."""
    return place.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{place.name}")


def is_temporary(name: str, of: str) -> bool:
    """Return whether ``name`` is one that ``temporary_name`` gives for a file called ``of``."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(f"-{of}")


@contextmanager
def sole_writer(place: Path, refused: Callable[[str], Exception], *, is_folder: bool = False) -> Iterator[None]:
    """Hold a place against other processes; the system drops the lock with the process, whatever ends that.

    Args:
        place: a file, which is made and tells who holds it.
        refused: makes an error of who holds the place (empty where that is not known).
        is_folder: ``place`` is a folder that is there.

    Raises:
        Exception: that of ``refused``: another process holds it.
        OSError: it cannot be opened, or is something else.
    """
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC) if is_folder else open_in_place(place, os.O_RDWR)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = "" if is_folder else os.pread(handle, 1 << 10, 0).decode(errors="replace").strip()
            raise refused(owner) from None
        except OSError:
            # A file system without locks (some network mounts): nobody is refused for that.
            pass
        else:
            if not is_folder:
                _sign(handle, place)
        yield
    finally:
        os.close(handle)


def _sign(handle: int, place: Path) -> None:
    with naming(place):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def write_arrays(file: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Replace ``file`` by a compressed ``.npz`` of ``arrays``, of any shape, in one step."""

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


_BUFFER = 1 << 18


def content_checksum(stream: BufferedIOBase) -> str:
    """Return the checksum of what is left of an open file, as 64 hex digits."""
    digest = blake3()
    buffer = memoryview(bytearray(_BUFFER))
    while size := stream.readinto(buffer):
        digest.update(buffer[:size])
    return digest.hexdigest()


def file_checksum(file: Path) -> str:
    """Return the checksum of a file, as 64 hex digits."""
    with file.open("rb") as stream:
        return content_checksum(stream)
