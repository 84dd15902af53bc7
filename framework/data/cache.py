"""The node's cache of remote files: whole, verified, shared by every process, bounded in size.

A file is kept under its BLAKE3. ``<checksum>-<bytes>.part`` is a download, locked by whoever is at it and continued by
the next when that process died; the rename to ``<checksum>`` publishes it. A finished file in use is locked by its
reader: the lock belongs to the open file, which a memory map keeps open, so it lasts exactly as long as the map and
dies with the process. Eviction removes what nobody has locked, broken downloads first, then the least recently used.
"""

from __future__ import annotations

import errno
import fcntl
import io
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from framework.config import StrictModel
from framework.data.checksum import content_checksum
from framework.data.remote import Patience, RemoteFolder
from framework.data.schema import FileRecord
from framework.errors import DatasetError

log = logging.getLogger(__name__)

CACHE_VARIABLE = "WELLSTREAM_CACHE"
_ASK_AGAIN_S = 0.02
_FILES, _PART, _LOCK = "files", ".part", ".lock"


class CacheConfig(StrictModel):
    """The section ``data.cache``: how remote datasets are kept on this machine."""

    folder: str | None = Field(default=None, min_length=1)
    """Default: $WELLSTREAM_CACHE, or ~/.cache/wellstream."""
    limit_gb: float = Field(default=100.0, gt=0)
    """Most the cached files may take together, in 1e9 bytes."""
    connections: int = Field(default=8, ge=1, le=64)
    """Shards a process downloads at a time, ahead of the steps that need them."""
    stall_s: float = Field(default=120.0, gt=0)
    """Seconds of retries without one new byte before a download fails."""
    total_s: float = Field(default=3600.0, gt=0)
    """Seconds one file may take."""

    def place(self) -> Path:
        """Return the folder."""
        return Path(self.folder or os.environ.get(CACHE_VARIABLE) or "~/.cache/wellstream").expanduser()

    @property
    def patience(self) -> Patience:
        """How long a download may take."""
        return Patience(stall_s=self.stall_s, total_s=self.total_s)


class _NoRoom(Exception):
    """All that is cached is in use."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A file in the cache's folder.

    Attributes:
        path: where.
        is_part: whether it is a download.
        used_ns: when it was used last.
        bytes: what it takes, or will take when it is complete.
        here: what it takes now.
    """

    path: Path
    is_part: bool
    used_ns: int
    bytes: int
    here: int

    @classmethod
    def of(cls, entry: os.DirEntry[str]) -> _Entry:
        facts, is_part = entry.stat(), entry.name.endswith(_PART)
        promised = entry.name.removesuffix(_PART).rpartition("-")[2]
        size = int(promised) if is_part and promised.isdecimal() else facts.st_size
        return cls(
            path=Path(entry.path), is_part=is_part, used_ns=facts.st_mtime_ns, bytes=size, here=facts.st_size
        )  # fmt: skip


def held_in(config: CacheConfig) -> tuple[int, int]:
    """Return how many files the cache holds and their bytes, without making its folder."""
    entries = _entries(config.place() / _FILES)
    return len(entries), sum(entry.here for entry in entries)


class FileCache:
    """Files of known checksum, fetched once a node.

    Args:
        config: folder, limit and patience.

    Raises:
        DatasetError: the folder cannot be made or written.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.root = config.place()
        self.files = self.root / _FILES
        self.limit = int(config.limit_gb * 1e9)
        self._patience, self._has_warned = config.patience, False
        with self._explained():
            self.files.mkdir(parents=True, exist_ok=True)
        if not os.access(self.files, os.W_OK | os.X_OK):
            raise DatasetError(
                f"{self.files}: the cache folder is not writable; choose another with data.cache.folder or "
                f"{CACHE_VARIABLE}"
            )

    def check(self, largest: FileRecord, where: str) -> None:
        """Refuse a limit that a single file exceeds.

        Raises:
            DatasetError: it does.
        """
        if largest.bytes > self.limit:
            raise DatasetError(
                f"{where}: '{largest.name}' alone has {largest.bytes / 1e9:.3g} GB and data.cache.limit_gb is "
                f"{self.limit / 1e9:.3g}; raise the limit"
            )

    def has(self, record: FileRecord) -> bool:
        """Return whether the file is there; if so it counts as used now."""
        try:
            os.utime(self.files / record.blake3)
        except FileNotFoundError:
            return False
        return True

    def open(self, folder: RemoteFolder, record: FileRecord) -> BinaryIO:
        """Return a file open for reading, downloaded if need be; it is not evicted while it or a map of it is open.

        Raises:
            DatasetError: it cannot be had, or differs from its checksum; names the URL.
        """
        with self._explained():
            while True:
                found = self._opened(record) or self._downloaded(folder, record, may_exceed=True)
                if found is not None:
                    return found

    def fetch(self, folder: RemoteFolder, record: FileRecord) -> bool:
        """Have the file here, as just used, unless that would exceed the limit; return whether it is. Raises as open.

        Only what is needed at once may exceed the limit (and a warning tells), never what is fetched ahead.
        """
        with self._explained(), suppress(_NoRoom):
            while not self.has(record):
                file = self._downloaded(folder, record, may_exceed=False)
                if file is not None:
                    file.close()
            return True
        return False

    def drop_if_damaged(self, record: FileRecord) -> bool:
        """Remove the file when its content is no longer what was fetched; return whether it was so."""
        with self._explained():
            file = self._opened(record)
            if file is None:
                return False
            with file:
                if content_checksum(file) == record.blake3:
                    return False
            (self.files / record.blake3).unlink(missing_ok=True)
            return True

    def _opened(self, record: FileRecord) -> io.BufferedReader | None:
        """The finished file, locked against eviction; None when there is none."""
        path = self.files / record.blake3
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        fcntl.flock(file, fcntl.LOCK_SH)
        if _is_at(file, path):
            found = os.fstat(file.fileno()).st_size
            if found == record.bytes:
                self.has(record)
                return file
            log.warning("%s: %d bytes, %d recorded; fetching it again", path, found, record.bytes)
            path.unlink(missing_ok=True)
        file.close()
        return None

    def _downloaded(self, folder: RemoteFolder, record: FileRecord, *, may_exceed: bool) -> BinaryIO | None:
        """Download under the lock of the temporary file; None when another process did so or removed it meanwhile."""
        path = self.files / record.blake3
        part = self.files / f"{record.blake3}-{record.bytes}{_PART}"
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "rb+")
        is_published = False
        try:
            if not _locked_while_at(file, part) or path.exists():
                return None
            self._make_room(may_exceed=may_exceed)
            self._fill(folder, record, file)
            part.rename(path)
            # Changing the kind of a lock may let an eviction slip in between.
            fcntl.flock(file, fcntl.LOCK_SH)
            is_published = _is_at(file, path)
            return file if is_published else None
        finally:
            if not is_published:
                # What came before a failure stays: the next download goes on from there.
                if not os.fstat(file.fileno()).st_size and _is_at(file, part):
                    part.unlink()
                file.close()

    def _fill(self, folder: RemoteFolder, record: FileRecord, file: io.BufferedRandom) -> None:
        """Fetch what is missing and verify the whole; a wrong checksum gets a second chance, from the first byte."""
        # What a killed download left is a beginning, unless the machine went down with it; the checksum tells.
        had = min(file.seek(0, os.SEEK_END), record.bytes)
        for start in (had, 0, 0) if had else (0, 0):
            try:
                folder.download(record.name, file, record.bytes, self._patience, start)
            except FileNotFoundError as error:
                raise DatasetError(
                    f"{error}; the dataset lists this file, so it was not copied there completely: copy it again"
                ) from None
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            found = content_checksum(file)
            if found == record.blake3:
                file.seek(0)
                return
            log.warning("%s/%s: its BLAKE3 is %s, recorded is %s", folder.url, record.name, found, record.blake3)
        file.truncate(0)
        raise DatasetError(
            f"{folder.url}/{record.name}: fetched twice, and its BLAKE3 is not the recorded one: the file there is "
            "damaged or of another build. See what else is with: wellstream verify "
            f"{folder.url}; then copy the dataset there again, dataset.json last"
        )

    def _make_room(self, *, may_exceed: bool) -> None:
        """Evict until all that is here and all that was promised to downloads, this one too, fits.

        Raises:
            OSError: it does not fit on the disk (ENOSPC).
            _NoRoom: it does not fit into the limit.
        """
        with (self.root / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = _entries(self.files)
            held = sum(entry.bytes for entry in entries)
            disk = sum(entry.here for entry in entries) + shutil.disk_usage(self.files).free
            for entry in entries:
                if held <= min(self.limit, disk):
                    return
                if _removed_unless_in_use(entry.path):
                    held -= entry.bytes
        if held > disk:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if held > self.limit and not may_exceed:
            raise _NoRoom
        if held > self.limit and not self._has_warned:
            self._has_warned = True
            log.warning(
                "%s: %.3g GB are in use or being fetched, above data.cache.limit_gb = %.3g, and nothing can be removed",
                self.root, held / 1e9, self.limit / 1e9,
            )  # fmt: skip

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the operating system says about the cache folder into sentences."""
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                advice = "the disk is full; free some space, lower data.cache.limit_gb, or choose another folder"
            elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
                advice = "the cache folder is not writable; choose another"
            else:
                advice = f"the cache folder cannot be used ({error.strerror or error}); choose another"
            raise DatasetError(f"{self.root}: {advice} with data.cache.folder or {CACHE_VARIABLE}") from None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _locked_while_at(file: BinaryIO, path: Path) -> bool:
    """Wait for the lock on a file as long as it has that name; return whether both came true.

    It asks again and again instead of sleeping in the kernel: the holder publishes the same file under another name
    and keeps it locked for its reading, which may last as long as its process.
    """
    while _is_at(file, path):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _is_at(file, path)
        time.sleep(_ASK_AGAIN_S)
    return False


def _entries(folder: Path) -> list[_Entry]:
    """What the folder holds, in the order of eviction."""
    found = []
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            # Another process may rename or remove it right now.
            with suppress(FileNotFoundError):
                found.append(_Entry.of(entry))
    return sorted(found, key=lambda entry: (not entry.is_part, entry.used_ns, entry.path.name))


def _removed_unless_in_use(path: Path) -> bool:
    try:
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(file, path):
                return False
            path.unlink()
    except (FileNotFoundError, BlockingIOError):
        return False
    return True
