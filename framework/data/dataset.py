"""An opened dataset: manifest, bag table and tile index, checked against each other once and then only read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.checks import (
    check_bags,
    check_content,
    check_files,
    check_target,
)
from framework.data.format.schema import (
    BAGS_NAME,
    CELLS_NAME,
    INDEX_NAME,
    MANIFEST_NAME,
    MARKER_PREFIX,
    TILES_NAME,
    Manifest,
    read_manifest,
)
from framework.data.format.tile_index import TileIndex, map_index
from framework.data.remote.cache import CacheConfig
from framework.data.remote.download import is_url
from framework.data.remote.files import RemoteFiles
from framework.errors import DatasetError, did_you_mean, some_of
from framework.files.h5ad import read_h5ad
from framework.files.parquet import read_parquet, read_schema
from framework.plugins import missing_plugins

if TYPE_CHECKING:
    import anndata

_AGAIN = "ingest again, as 'wellstream verify' of the dataset says"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A finished dataset folder, here or behind a URL.

    Attributes:
        root: the folder; for a remote dataset one of the cache, where nothing but its ``dataset.json`` lies.
        manifest: its ``dataset.json``.
        bags: bags.parquet, one row per bag, index 0..B-1 = column ``bag``.
        index: where tiles lie.
        remote: its files, when it is behind a URL.
    """

    root: Path
    manifest: Manifest
    bags: pd.DataFrame
    index: TileIndex
    remote: RemoteFiles | None = None

    @classmethod
    def open(cls, root: Path | str, cache: CacheConfig | None = None) -> Dataset:
        """Open a dataset.

        Args:
            root: its folder: a path or any fsspec URL (``https://``, ``s3://`` ...).
            cache: how a remote one is kept on this machine; default: the defaults of ``data.cache``.

        Raises:
            DatasetError: no finished dataset, a missing column, tables that contradict the manifest, or a URL that
                cannot be read.
        """
        place = str(root)
        if is_url(place) and not place.startswith("file:"):
            remote = RemoteFiles(place, cache or CacheConfig())
            return cls._of(remote.root, remote.manifest, remote)
        folder = local_folder(root)
        return cls._of(folder, read_manifest(folder), None)

    @property
    def missing_plugins(self) -> tuple[str, ...]:
        """Sentences about plugins this dataset was made with that are not here, or changed; it is read without them."""
        names = self.manifest.source.get("plugins")
        return tuple(missing_plugins([str(name) for name in names])) if isinstance(names, list) else ()

    @classmethod
    def _of(cls, root: Path, manifest: Manifest, remote: RemoteFiles | None) -> Dataset:
        where = str(root) if remote is None else remote.url
        file = root.joinpath if remote is None else remote.file
        recorded = {record.name: record for record in manifest.files}
        for name in (BAGS_NAME, TILES_NAME, INDEX_NAME):
            if name not in recorded:
                raise DatasetError(f"{where}/{MANIFEST_NAME}: lists no {name}; ingest again")
        if remote is None:
            check_files(root, manifest)
        bags = read_parquet(_existing(file(BAGS_NAME), f"{where}/{BAGS_NAME}"), then=_AGAIN)
        check_bags(bags, manifest, where)
        if remote is None:
            _existing(file(TILES_NAME), f"{where}/{TILES_NAME}")
        mapped = _existing(file(INDEX_NAME), f"{where}/{INDEX_NAME}")
        digest, counts = recorded[TILES_NAME].blake3, bags["n_tiles"].to_numpy()
        index = map_index(mapped, f"{where}/{INDEX_NAME}", digest, counts, coded=manifest.codec is not None)
        opened = cls(root=root, manifest=manifest, bags=bags, index=index, remote=remote)
        for said in opened.missing_plugins:
            log.warning("%s: %s", where, said)
        return opened

    @property
    def where(self) -> str:
        """The folder or URL, as messages name it."""
        return str(self.root) if self.remote is None else self.remote.url

    def file(self, name: str) -> Path:
        """Return a file of the dataset, by its name below the folder, fetched when it is remote; it may not exist."""
        return self.root / name if self.remote is None else self.remote.file(name)

    def tile_table(self, columns: list[str] | None = None) -> pd.DataFrame:
        """Return tiles.parquet (or the named columns), one row per tile in tile order."""
        return read_parquet(self._existing(TILES_NAME), columns, then=_AGAIN)

    def tile_labels(self) -> list[str]:
        """Return the columns of text that differ between the tiles of a bag, such as ``Metadata_Cell``."""
        names = read_schema(self._existing(TILES_NAME), then=_AGAIN).names
        return [name for name in names if name.startswith("Metadata_")]

    def cells(self) -> pd.DataFrame:
        """Return cells.parquet, one row per cell found, with or without a tile."""
        return read_parquet(self._existing(CELLS_NAME), then=_AGAIN)

    def _existing(self, name: str) -> Path:
        """A file that is there and, where it is not remote and so checked already, as the manifest records it."""
        file = _existing(self.file(name), f"{self.where}/{name}")
        for record in self.manifest.files:
            if record.name == name and self.remote is None:
                check_content(file, record)
        return file

    def markers(self, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """Return measured markers, float32 (T, M), NaN where a cell has no measurement.

        Raises:
            DatasetError: the dataset has no such marker.
        """
        self.need_markers(names)
        table = self.tile_table([MARKER_PREFIX + name for name in names])
        return np.ascontiguousarray(table.to_numpy(dtype=np.float32))

    def need_markers(self, names: Sequence[str]) -> None:
        """Raise DatasetError where the dataset lacks some of these markers."""
        self._need("marker", names, self.manifest.markers)

    def need_targets(self, names: Sequence[str]) -> None:
        """Raise DatasetError where the dataset lacks some of these targets."""
        self._need("target", names, self.manifest.targets)

    def _need(self, what: str, names: Sequence[str], known: Sequence[str]) -> None:
        """Refuse names that are not there, all of them at once."""
        lacking = [name for name in dict.fromkeys(names) if name not in known]
        if lacking:
            raise DatasetError(
                f"{self.where}: no {what} {', '.join(map(repr, lacking))}; this dataset has: {some_of(known)}"
                + did_you_mean(lacking, known)
            )

    def target(self, name: str) -> anndata.AnnData:
        """Return ``targets/<name>.h5ad``: bags with that target x genes.

        Raises:
            DatasetError: the dataset has no such target, or its rows are of other bags.
        """
        self.need_targets([name])
        file = f"targets/{name}.h5ad"
        table = read_h5ad(self._existing(file), what="a target (.h5ad)", then=_AGAIN)
        check_target(table, self.bags, f"{self.where}/{file}")
        return table

    def channel_indices(self, channels: tuple[str, ...]) -> list[int]:
        """Return the positions of ``channels`` (by name) in the stored tiles.

        Raises:
            DatasetError: a channel the dataset does not have.
        """
        stored = self.manifest.tile.channels
        self._need("channel", channels, stored)
        return [stored.index(name) for name in channels]


def local_folder(root: Path | str) -> Path:
    """Return a path given as such or as a ``file://`` URL."""
    place = str(root)
    return Path(unquote(place.removeprefix("file://"))) if is_url(place) else Path(root)


def _existing(file: Path, where: str) -> Path:
    if not file.is_file():
        raise DatasetError(
            f"{where}: missing although the dataset is complete; see what to do with: wellstream verify DATASET"
        )
    return file
