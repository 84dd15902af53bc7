"""The files of one remote dataset as local ones: names and checksums from its manifest, bytes from the node's cache."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import BinaryIO

from framework.data.cores import processes_here
from framework.data.format.schema import MANIFEST_NAME, FileRecord, Manifest, read_manifest
from framework.data.remote.cache import CacheConfig, FileCache
from framework.data.remote.download import Patience, RemoteFolder
from framework.durable import write_with
from framework.errors import DatasetError

log = logging.getLogger(__name__)

_FIRST_WORD_S = 15.0
_LARGEST_MANIFEST = 1 << 28
"""Bytes; a dataset of a million shards needs 200 MB."""


class RemoteFiles:
    """The files of one remote dataset, as local ones.

    Args:
        url: URL of the dataset.
        config: how its files are kept.

    Attributes:
        url: URL of the dataset.
        folder: that URL, for reading past the cache.
        cache: where its files are kept.
        root: local folder with its ``dataset.json``.
        manifest: that file, read.
        connections: shards to download at a time.

    Raises:
        DatasetError: no dataset there, it cannot be read, or one of its files is larger than the cache may be.
    """

    def __init__(self, url: str, config: CacheConfig) -> None:
        self.folder, self.cache = RemoteFolder(url), FileCache(config)
        self.url, self.connections = self.folder.url, config.connections
        self.root, self.manifest = self._fetch_manifest(config.patience)
        self._records: dict[str, FileRecord] = {r.name: r for r in (*self.manifest.files, *self.manifest.shards)}
        self._held: dict[str, BinaryIO] = {}
        if self._records:
            self.cache.check(max(self._records.values(), key=lambda record: record.bytes), self.url)
        total = sum(record.bytes for record in self.manifest.shards)
        if total > self.cache.limit:
            log.warning(
                "%s: %.3g GB of shards, data.cache.limit_gb is %.3g: shards will be fetched again in each epoch",
                self.url, total / 1e9, self.cache.limit / 1e9,
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
            self._held[name] = self.cache.open(self.folder, record)
        return self.cache.files / record.blake3

    def open_shard(self, number: int) -> BinaryIO:
        """Return shard ``number`` open for reading; it is kept while the file or a map of it is open.

        Raises:
            DatasetError: it cannot be had.
        """
        return self.cache.open(self.folder, self.manifest.shards[number])

    def fetch_shard(self, number: int) -> bool:
        """Have shard ``number`` in the cache, if it fits there; return whether it does. Raises as ``open_shard``."""
        return self.cache.fetch(self.folder, self.manifest.shards[number])

    @property
    def share(self) -> int:
        """Bytes of shards one process keeps mapped, and fetches ahead: half of what the tables leave of the limit."""
        tables = sum(self._records[name].bytes for name in list(self._held))
        return (self.cache.limit - tables) // (2 * processes_here())

    def shards_here(self) -> int:
        """Return how many shards the cache holds."""
        return sum((self.cache.files / record.blake3).exists() for record in self.manifest.shards)

    def _fetch_manifest(self, patience: Patience) -> tuple[Path, Manifest]:
        content = io.BytesIO()
        # Nothing was waited for yet: a wrong host should be told soon.
        hurry = Patience(stall_s=min(_FIRST_WORD_S, patience.stall_s), total_s=patience.total_s)
        try:
            self.folder.download(MANIFEST_NAME, content, None, hurry, most=_LARGEST_MANIFEST)
        except FileNotFoundError:
            raise DatasetError(
                f"{self.url}: no {MANIFEST_NAME} there (404), so there is no dataset, or its copy is not "
                "finished; check the URL, and copy dataset.json last"
            ) from None
        root = self.cache.manifests / hashlib.sha256(content.getvalue()).hexdigest()
        try:
            root.mkdir(exist_ok=True)
            if not _is_copy(root / MANIFEST_NAME, content.getvalue()):
                write_with(root / MANIFEST_NAME, lambda file: file.write_bytes(content.getvalue()))
            return root, read_manifest(root)
        except OSError as error:
            raise DatasetError(
                f"{root}: cannot be written: {error.strerror}; choose another data.cache.folder"
            ) from None
        except DatasetError as error:
            raise DatasetError(str(error).replace(str(root), self.url)) from None


def _is_copy(file: Path, content: bytes) -> bool:
    """Whether what lies in the cache is what the server just sent: a name alone proves nothing."""
    return not file.is_symlink() and file.is_file() and file.read_bytes() == content
