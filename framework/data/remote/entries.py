"""The files of the cache by their names: opened without following links, listed in the order of eviction.

A file of the cache is called ``<BLAKE3>``, 64 hex digits, or ``<BLAKE3>-<bytes>.part`` while it is downloaded. What is
called otherwise, or is not a regular file with that one name, is not the cache's.
"""

from __future__ import annotations

import errno
import fcntl
import io
import logging
import os
import re
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from framework.errors import DatasetError

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 0.02
_NAME = re.compile(r"([0-9a-f]{64})(?:-(\d{1,18})\.part)?")
Opened = io.BufferedReader | io.BufferedRandom
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of the cache.

    Attributes:
        path: where.
        blake3: blake3 of what it is, or will be.
        is_part: whether it is a download.
        used_ns: when it was used last.
        bytes: what it takes, or will take when it is complete.
        here: what it takes now.
    """

    path: Path
    blake3: str
    is_part: bool
    used_ns: int
    bytes: int
    here: int


def entries(folder: Path, stamps: Sequence[Path] = ()) -> list[Entry]:
    """Return the cache's files in a folder, in the order of eviction.

    Args:
        folder: folder of the files.
        stamps: folders whose files of the same name were touched when a file was used.
    """
    found = []
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            # Another process may rename or remove it right now.
            with suppress(FileNotFoundError):
                name = _NAME.fullmatch(entry.name)
                if name and entry.is_file(follow_symlinks=False):
                    found.append(_entry(entry, name, stamps))
    return sorted(found, key=lambda each: (not each.is_part, each.used_ns, each.path.name))


def _entry(entry: os.DirEntry[str], name: re.Match[str], stamps: Sequence[Path]) -> Entry:
    facts, used_ns = entry.stat(follow_symlinks=False), 0
    for folder in stamps:
        with suppress(OSError):
            used_ns = max(used_ns, (folder / entry.name).stat().st_mtime_ns)
    return Entry(
        path=Path(entry.path),
        blake3=name[1],
        is_part=name[2] is not None,
        used_ns=used_ns or facts.st_mtime_ns,
        bytes=int(name[2]) if name[2] else facts.st_size,
        here=facts.st_size,
    )


def opened(path: Path, *, shared: bool) -> Opened | None:
    """Open a finished file; None where there is none. A link or another user's file is removed and counts as none.

    Raises:
        DatasetError: a folder is there.
        OSError: it cannot be opened or removed.
    """
    return _plain(path, os.O_RDONLY, shared=shared)


def opened_part(path: Path, *, shared: bool) -> Opened | None:
    """Open a download to begin or to continue it; None where something else was in its place and is gone now.

    The part of another user can only be read: whoever gets its lock removes it, because its owner may still write it.

    Raises:
        DatasetError: a folder is there.
        OSError: it cannot be opened or removed.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)
    except FileExistsError:
        with suppress(FileNotFoundError):
            is_mine = path.lstat().st_uid == os.geteuid()
            return _plain(path, os.O_RDWR if is_mine else os.O_RDONLY, shared=shared)
        return None
    if shared:
        os.fchmod(handle, 0o640)
    return os.fdopen(handle, "rb+")


def _plain(path: Path, flags: int, *, shared: bool) -> Opened | None:
    """Open what is a regular file under this name alone, and ours unless shared; remove what is not."""
    try:
        handle = os.open(path, flags | _SAFE)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise _folder(path) from None
        what = {errno.ELOOP: "a symbolic link", errno.ENXIO: "a socket"}.get(error.errno or 0)
        if what is None:
            raise
        _remove_stranger(path, what)
        return None
    facts = os.fstat(handle)
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and (shared or facts.st_uid == os.geteuid()):
        return os.fdopen(handle, "rb+") if flags & os.O_RDWR else os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(facts.st_mode):
        raise _folder(path)
    what = "no regular file" if not stat.S_ISREG(facts.st_mode) else f"a file of user {facts.st_uid}"
    # It may have been renamed or removed meanwhile, which leaves it no name.
    if facts.st_nlink:
        _remove_stranger(path, what if facts.st_nlink == 1 else "something that has another name too")
    return None


def _folder(path: Path) -> DatasetError:
    """What is in a folder may be somebody's, so it is never removed."""
    return DatasetError(f"{path}: a folder stands where a file of the cache should be; move it elsewhere")


def _remove_stranger(path: Path, what: str) -> None:
    log.warning("%s: found %s where a file of the cache should be; it is removed and fetched again", path, what)
    path.unlink(missing_ok=True)


def is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def locked_while_at(file: BinaryIO, path: Path) -> bool:
    """Wait for the lock on a file as long as it has that name; return whether both came true.

    It asks again and again instead of sleeping in the kernel: the holder publishes the same file under another name
    and keeps it locked for its reading, which may last as long as its process.
    """
    while is_at(file, path):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return is_at(file, path)
        time.sleep(_ASK_AGAIN_S)
    return False


def removed_unless_in_use(path: Path) -> bool:
    """Remove a file that nobody has locked; return whether it is gone."""
    try:
        try:
            file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | _SAFE), "rb+")
        except PermissionError:
            # Another user's, in a shared cache: a lock needs no right to write, except on network file systems.
            file = os.fdopen(os.open(path, os.O_RDONLY | _SAFE), "rb")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not is_at(file, path):
                return False
            path.unlink()
    except (FileNotFoundError, BlockingIOError, PermissionError):
        return False
    return True
