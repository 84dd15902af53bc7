"""The node's cache of remote files: whole, verified, shared by every process, bounded in size.

A file is kept under its BLAKE3. ``<checksum>-<bytes>.part`` is a download, locked by whoever is at it and continued by
the next when that process died; the rename to ``<checksum>`` publishes it. A finished file in use is locked by its
reader: the lock belongs to the open file, which a memory map keeps open, so it lasts exactly as long as the map and
dies with the process. Eviction removes what nobody has locked, broken downloads first, then the least recently used;
a file of any other name is not the cache's. What is found there is compared with its checksum before it is used, once
per file and start of the machine (``framework.data.remote.stamps``)::

    CACHEDIR.TAG    the folder is ours (``framework.data.remote.folder``)
    .lock           held while room is made
    files/          <checksum>, <checksum>-<bytes>.part
    of-<user>/      which files this user checked, and manifests
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from framework.config import StrictModel
from framework.data.format.schema import FileRecord
from framework.data.remote.download import Patience, RemoteFolder
from framework.data.remote.entries import (
    Opened,
    entries,
    is_at,
    locked_while_at,
    opened,
    opened_part,
    removed_unless_in_use,
)
from framework.data.remote.folder import FILES, LOCK, PRIVATE_FOLDER, cache_root, claim, folder, own_folder
from framework.data.remote.stamps import Stamps
from framework.durable import content_checksum
from framework.errors import DatasetError

log = logging.getLogger(__name__)

CACHE_VARIABLE = "WELLSTREAM_CACHE"
_CHECKED, _MANIFESTS = "checked", "manifests"


class CacheConfig(StrictModel):
    """The section ``data.cache``: how remote datasets are kept on this machine."""

    folder: str | None = Field(default=None, min_length=1)
    """Folder of the cache; default: $WELLSTREAM_CACHE, or ~/.cache/wellstream. If it holds other things, the cache goes
    into a folder below it."""
    shared: bool = False
    """Whether the group of the folder may read and write the cache too; if not, it is closed to other users. See
    SECURITY.md."""
    limit_gb: float = Field(default=100.0, gt=0)
    """Most that all cached files may take together, in 1e9 bytes."""
    connections: int = Field(default=8, ge=1, le=64)
    """Number of shards that a process downloads at the same time, ahead of the steps that need them."""
    stall_s: float = Field(default=120.0, gt=0)
    """Seconds of retries without one new byte before a download fails."""
    total_s: float = Field(default=3600.0, gt=0)
    """Seconds that the download of one file may take."""

    def place(self) -> Path:
        """Return the configured folder."""
        return Path(self.folder or os.environ.get(CACHE_VARIABLE) or "~/.cache/wellstream").expanduser()

    @property
    def patience(self) -> Patience:
        """How long a download may take."""
        return Patience(stall_s=self.stall_s, total_s=self.total_s)


class _NoRoom(Exception):
    """All that is cached is in use."""


def held_in(config: CacheConfig) -> tuple[int, int]:
    """Return how many files the cache holds and their bytes, without making its folder."""
    found = entries(cache_root(config.place(), shared=config.shared) / FILES)
    return len(found), sum(entry.here for entry in found)


class FileCache:
    """Files of known checksum, fetched once per node.

    Args:
        config: folder, limit and patience.

    Attributes:
        root: the cache's folder.
        files: what it keeps.
        manifests: folder of this user alone.
        dropped: checksums of files that were found damaged, and removed, by this object.

    Raises:
        DatasetError: the folder cannot be made or written, or is another user's.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.root = config.place()
        self.limit = int(config.limit_gb * 1e9)
        self.dropped: list[str] = []
        self._shared, self._patience, self._has_warned = config.shared, config.patience, False
        with self._explained():
            self.root = claim(self.root, shared=config.shared)
            self.files = self.root / FILES
            own = own_folder(self.root, shared=config.shared)
            self.manifests = folder(own / _MANIFESTS, PRIVATE_FOLDER, shared=False)
            self._stamps = Stamps(folder(own / _CHECKED, 0o750 if config.shared else PRIVATE_FOLDER, shared=False))
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

    def open(self, source: RemoteFolder, record: FileRecord) -> BinaryIO:
        """Return a file open for reading, downloaded if need be; it is not evicted while it or a map of it is open.

        Raises:
            DatasetError: it cannot be had, or differs from its checksum; names the URL.
        """
        with self._explained():
            while True:
                found = self._opened(record) or self._downloaded(source, record, may_exceed=True)
                if found is not None:
                    return found

    def fetch(self, source: RemoteFolder, record: FileRecord) -> bool:
        """Have the file here, as just used, unless that would exceed the limit; return whether it is. Raises as open.

        Only what is needed at once may exceed the limit (and a warning tells), never what is fetched ahead.
        """
        with self._explained(), suppress(_NoRoom):
            while True:
                file = self._opened(record) or self._downloaded(source, record, may_exceed=False)
                if file is not None:
                    file.close()
                    return True
        return False

    def drop_if_damaged(self, record: FileRecord) -> bool:
        """Read the file whole; remove it when it is no longer what was fetched, and return whether it was so."""
        with self._explained():
            before = len(self.dropped)
            self._stamps.forget(record.blake3)
            file = self._opened(record)
            if file is not None:
                file.close()
            return len(self.dropped) > before

    def _opened(self, record: FileRecord) -> Opened | None:
        """The finished file, checked, and locked against eviction; None when there is none."""
        path = self.files / record.blake3
        file = opened(path, shared=self._shared)
        if file is None:
            return None
        fcntl.flock(file, fcntl.LOCK_SH)
        if is_at(file, path):
            found = os.fstat(file.fileno()).st_size
            if found == record.bytes and self._stamps.is_sound(file, record.blake3):
                file.seek(0)
                self._stamps.touch(record.blake3)
                return file
            what = "its content changed" if found == record.bytes else f"{found} bytes, {record.bytes} recorded"
            log.warning("%s: damaged here (%s); it is removed and fetched again", path, what)
            path.unlink(missing_ok=True)
            self._stamps.forget(record.blake3)
            self.dropped.append(record.blake3)
        file.close()
        return None

    def _downloaded(self, source: RemoteFolder, record: FileRecord, *, may_exceed: bool) -> Opened | None:
        """Download under the lock of the temporary file; None when another process did so or removed it meanwhile."""
        path = self.files / record.blake3
        part = self.files / f"{record.blake3}-{record.bytes}.part"
        file = opened_part(part, shared=self._shared)
        if file is None:
            return None
        is_published = False
        try:
            if not locked_while_at(file, part) or path.exists():
                return None
            if not file.writable():
                # Another user's, who ended before it was complete; that user might still change it.
                part.unlink(missing_ok=True)
                return None
            self._make_room(may_exceed=may_exceed)
            self._fill(source, record, file)
            if not is_at(file, part):
                return None
            part.rename(path)
            # Changing the kind of a lock may let an eviction slip in between.
            fcntl.flock(file, fcntl.LOCK_SH)
            is_published = is_at(file, path)
            if is_published:
                self._stamps.remember(file, record.blake3)
            return file if is_published else None
        finally:
            if not is_published:
                # What came before a failure stays: the next download goes on from there.
                if file.writable() and not os.fstat(file.fileno()).st_size and is_at(file, part):
                    part.unlink()
                file.close()

    def _fill(self, source: RemoteFolder, record: FileRecord, file: Opened) -> None:
        """Fetch what is missing and verify the whole; a wrong checksum gets a second chance, from the first byte."""
        # What a killed download left is a beginning, unless the machine went down with it; the checksum tells.
        had = min(file.seek(0, os.SEEK_END), record.bytes)
        for start in (had, 0, 0) if had else (0, 0):
            try:
                source.download(record.name, file, record.bytes, self._patience, start)
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
            log.warning("%s/%s: its BLAKE3 is %s, recorded is %s", source.url, record.name, found, record.blake3)
        file.truncate(0)
        raise DatasetError(
            f"{source.url}/{record.name}: was fetched twice, and its BLAKE3 is not the recorded one: the file "
            "there is damaged or belongs to another build. Check the other files with: wellstream verify "
            f"{source.url}; then copy the dataset there again, dataset.json last"
        )

    def _make_room(self, *, may_exceed: bool) -> None:
        """Evict until all that is here and all that was promised to downloads, this one too, fits.

        Raises:
            OSError: it does not fit on the disk (ENOSPC).
            _NoRoom: it does not fit into the limit.
        """
        with self._lock() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = entries(self.files, sorted(self.root.glob(f"of-*/{_CHECKED}")))
            held = sum(entry.bytes for entry in found)
            disk = sum(entry.here for entry in found) + shutil.disk_usage(self.files).free
            for entry in found:
                if held <= min(self.limit, disk):
                    return
                if removed_unless_in_use(entry.path):
                    held -= entry.bytes
                    if not entry.is_part:
                        self._stamps.forget(entry.blake3)
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

    def _lock(self) -> BinaryIO:
        mode = 0o660 if self._shared else 0o600
        handle = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        if self._shared and os.fstat(handle).st_uid == os.geteuid():
            os.fchmod(handle, mode)
        return os.fdopen(handle, "rb+")

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
