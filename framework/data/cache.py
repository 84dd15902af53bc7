"""The node's cache of remote files: whole, verified, shared by every process, bounded in size.

A file is kept under its SHA-256. ``<sha>.part`` is a download under way, locked by whoever downloads; the rename to
``<sha>`` publishes it. A finished file in use is locked by its reader: the lock belongs to the open file, which a
memory map keeps open, so it lasts exactly as long as the map and dies with the process. Eviction removes what nobody
has locked, least recently used first.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from framework.config import StrictModel
from framework.data.remote import Patience, RemoteFolder
from framework.data.schema import MANIFEST_NAME, FileRecord, Manifest, read_manifest
from framework.durable import write_text
from framework.errors import DatasetError

log = logging.getLogger(__name__)

CACHE_VARIABLE = "WELLSTREAM_CACHE"
_PART, _LOCK = ".part", ".lock"
_FIRST_WORD_S = 15.0


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


class FileCache:
    """Files of known checksum, fetched once a node.

    Args:
        config: folder, limit and patience.

    Raises:
        DatasetError: the folder cannot be made or written.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.root = config.place()
        self.files = self.root / "files"
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
        """Whether the file is there; if so it counts as used now."""
        try:
            os.utime(self.files / record.sha256)
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
                found = self._opened(record) or self._downloaded(folder, record)
                if found is not None:
                    return found

    def _opened(self, record: FileRecord) -> BinaryIO | None:
        """The finished file, locked against eviction; None when there is none."""
        path = self.files / record.sha256
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

    def _downloaded(self, folder: RemoteFolder, record: FileRecord) -> BinaryIO | None:
        """Download under the lock of the temporary file; None when another process did so or removed it meanwhile."""
        part, path = self.files / (record.sha256 + _PART), self.files / record.sha256
        file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "rb+")
        fcntl.flock(file, fcntl.LOCK_EX)
        published = False
        try:
            if not _is_at(file, part) or path.exists():
                return None
            self._fill(folder, record, file)
            part.rename(path)
            # Changing the kind of a lock may let an eviction slip in between.
            fcntl.flock(file, fcntl.LOCK_SH)
            published = _is_at(file, path)
            return file if published else None
        finally:
            if not published:
                if _is_at(file, part):
                    part.unlink()
                file.close()

    def _fill(self, folder: RemoteFolder, record: FileRecord, file: io.BufferedRandom) -> None:
        """Fetch and verify; a wrong checksum gets a second chance."""
        # What a killed download left behind is of unknown extent.
        file.truncate(0)
        self._reserve(record.bytes, file)
        for _ in range(2):
            folder.download(record.name, file, record.bytes, self._patience)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() == record.sha256:
                file.seek(0)
                return
            log.warning("%s/%s: another SHA-256 than recorded", folder.url, record.name)
        raise DatasetError(
            f"{folder.url}/{record.name}: fetched twice, and its SHA-256 is not the recorded one: the file there is "
            "damaged or of another build; copy the dataset there again"
        )

    def _reserve(self, wanted: int, file: BinaryIO) -> None:
        """Evict until ``wanted`` bytes fit, then claim them on the disk, so that other processes count them too."""
        with (self.root / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = self._evict(self.limit - wanted)
            if held > self.limit - wanted and not self._has_warned:
                self._has_warned = True
                log.warning(
                    "%s: %.3g GB are in use and %.3g GB more are needed, above data.cache.limit_gb = %.3g; nothing "
                    "else can be removed",
                    self.root, held / 1e9, wanted / 1e9, self.limit / 1e9,
                )  # fmt: skip
            if wanted:
                os.posix_fallocate(file.fileno(), 0, wanted)

    def _evict(self, limit: int) -> int:
        """Remove what killed downloads left, then unused files until ``limit`` bytes remain; return what remains."""
        entries = []
        for entry in os.scandir(self.files):
            with suppress(FileNotFoundError):
                facts = entry.stat()
                is_part = entry.name.endswith(_PART)
                entries.append((not is_part, facts.st_mtime_ns, entry.name, facts.st_size))
        held = sum(size for *_, size in entries)
        for is_finished, _, name, size in sorted(entries):
            if is_finished and held <= limit:
                break
            if _removed_unless_in_use(self.files / name):
                held -= size
        return held

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the operating system says about the cache folder into sentences."""
        try:
            yield
        except FileNotFoundError as error:
            raise DatasetError(f"{error}; the dataset lists this file: it was not copied there completely") from None
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


class RemoteFiles:
    """The files of one remote dataset, as local ones.

    Attributes:
        url: of the dataset.
        root: local folder with its ``dataset.json``.
        manifest: that file, read.
        connections: shards to download at a time.
        share: bytes of shards one process keeps mapped; a node's processes together leave half the limit to eviction.
    """

    def __init__(self, url: str, config: CacheConfig) -> None:
        self._folder = RemoteFolder(url)
        self._cache = FileCache(config)
        self.url, self.connections = self._folder.url, config.connections
        self.root, self.manifest = self._fetch_manifest(config.patience)
        self._records: dict[str, FileRecord] = {r.name: r for r in (*self.manifest.files, *self.manifest.shards)}
        self._held: dict[str, BinaryIO] = {}
        self.share = self._cache.limit // (2 * int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        for name in self._records:
            if ".." in Path(name).parts or Path(name).is_absolute():
                raise DatasetError(f"{self.url}: the manifest names a file outside the dataset folder: '{name}'")
        if self._records:
            self._cache.check(max(self._records.values(), key=lambda record: record.bytes), self.url)
        total = sum(record.bytes for record in self.manifest.shards)
        if total > self._cache.limit:
            log.warning(
                "%s: %.3g GB of shards, data.cache.limit_gb is %.3g: shards will be fetched again in each epoch",
                self.url, total / 1e9, self._cache.limit / 1e9,
            )  # fmt: skip

    def file(self, name: str) -> Path:
        """Return a file of the dataset as a local one, which stays while this object does.

        A name the manifest does not list gives a path where nothing is.

        Raises:
            DatasetError: it cannot be had.
        """
        record = self._records.get(name)
        if record is None:
            return self.root / name
        if name not in self._held:
            self._held[name] = self._cache.open(self._folder, record)
        return self._cache.files / record.sha256

    def open_shard(self, number: int) -> BinaryIO:
        """Return shard ``number`` open for reading; it is kept while the file or a map of it is open.

        Raises:
            DatasetError: it cannot be had.
        """
        return self._cache.open(self._folder, self.manifest.shards[number])

    def fetch_shard(self, number: int) -> None:
        """Have shard ``number`` in the cache, as just used. Raises as ``open_shard``."""
        if not self._cache.has(self.manifest.shards[number]):
            self.open_shard(number).close()

    def _fetch_manifest(self, patience: Patience) -> tuple[Path, Manifest]:
        content = io.BytesIO()
        # Nothing was waited for yet: a wrong host should be told soon.
        hurry = Patience(stall_s=min(_FIRST_WORD_S, patience.stall_s), total_s=patience.total_s)
        try:
            self._folder.download(MANIFEST_NAME, content, None, hurry)
        except FileNotFoundError:
            raise DatasetError(
                f"{self.url}: no {MANIFEST_NAME} there (404), so there is no dataset, or it is not finished; check "
                "the URL, and copy dataset.json last"
            ) from None
        root = self._cache.root / "manifests" / hashlib.sha256(content.getvalue()).hexdigest()
        try:
            if not (root / MANIFEST_NAME).is_file():
                root.mkdir(parents=True, exist_ok=True)
                write_text(root / MANIFEST_NAME, content.getvalue().decode("utf-8", "replace"))
            return root, read_manifest(root)
        except OSError as error:
            raise DatasetError(
                f"{root}: cannot be written: {error.strerror}; choose another data.cache.folder"
            ) from None
        except DatasetError as error:
            raise DatasetError(str(error).replace(str(root), self.url)) from None
