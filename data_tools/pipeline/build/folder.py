"""The folder a dataset is built in: how it is written to, and how a build that was killed is picked up again.

``.build/plan.json`` says which config the folder belongs to. Keys that shape tables alone (omics, plate maps, tables of
cells) may still be changed, and ``on_error`` from ``raise`` to ``skip``: what they give is in the digest of each part.
Each finished part has a marker (``facts``) with a digest of all that went into it (files by size and modification time,
flat-fields by checksum), so a repaired image redoes its own part and nothing else. Every ``OSError`` of writing becomes
a sentence, and each file of the dataset has a record.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from data_tools.pipeline.build.changes import changed_keys, of_pixels, value_at
from framework import __version__
from framework.config import StrictModel
from framework.data.format.schema import BAGS_NAME, MANIFEST_NAME, FileRecord, Manifest, read_manifest
from framework.durable import TEMPORARY_PREFIX, file_checksum, sole_writer, write_json
from framework.errors import DatasetError
from framework.files.json_file import read_mapping
from framework.files.parquet import open_parquet

BUILD_NAME = ".build"
_PLAN_NAME = "plan.json"
_SHAPING = (
    "anndata",
    "h5py",
    "imagecodecs",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pyarrow",
    "scipy",
    "tifffile",
)


@dataclass(frozen=True, kw_only=True)
class BuildFolder:
    """Where a build works.

    Attributes:
        root: the dataset folder, absolute.
        base: working directory of the command; messages name files relative to it.
    """

    root: Path
    base: Path

    @property
    def parts(self) -> Path:
        """Folder of finished parts; removed at the end."""
        return self.root / BUILD_NAME

    def claim(self, config: StrictModel) -> Manifest | None:
        """Begin or continue a build.

        Returns:
            The manifest if the dataset is already complete, with this config.

        Raises:
            DatasetError: the folder holds something else, or belongs to another config or version.
        """
        manifest = self.complete(config)
        if manifest is not None:
            with explained(self.root):
                shutil.rmtree(self.parts, ignore_errors=True)
            return manifest
        self.check(config)
        with writing(self.parts):
            write_json(self._plan_file, _plan(config))
        self._sweep()
        return None

    def check(self, config: StrictModel) -> None:
        """Refuse a folder that is not a place for this build; writes nothing. Raises as ``claim``."""
        if self.root.exists() and not self.root.is_dir():
            raise DatasetError(f"{self.root}: a file; choose a folder for the dataset")
        if not self.root.is_dir() or self.complete(config):
            return
        if self._plan_file.is_file():
            self.changed_since(config)
        elif any(entry.name != BUILD_NAME for entry in self.root.iterdir()):
            raise DatasetError(
                f"{self.root}: the folder holds other files and no unfinished ingest; choose an empty or new folder"
            )

    def complete(self, config: StrictModel) -> Manifest | None:
        """Return the manifest of a finished dataset with this config, or None if there is none.

        Raises:
            DatasetError: a finished dataset with another config.
        """
        if not (self.root / MANIFEST_NAME).is_file():
            return None
        manifest = read_manifest(self.root)
        if manifest.source != config.plain():
            changed = changed_keys(manifest.source, config.plain())
            grow = "" if of_pixels(changed) else f"give it these tables with: wellstream update {self.root} CONFIG; or "
            raise DatasetError(
                f"{self.root}: holds a finished dataset of another config (it differs in "
                f"{', '.join(changed)}); {grow}choose another folder, or remove it to start anew: rm -r "
                f"{self.root}"
            )
        return manifest

    @property
    def _plan_file(self) -> Path:
        return self.parts / _PLAN_NAME

    def changed_since(self, config: StrictModel) -> tuple[str, ...]:
        """Return the dotted keys in which an unfinished build differs from the config that goes on; none without one.

        Raises:
            DatasetError: the build cannot go on with this config, or with these versions.
        """
        if not self._plan_file.is_file():
            return ()
        anew = f"remove the folder to start anew: rm -r {self.root}"
        found, plan = read_mapping(self._plan_file, what="the plan of an ingest", then=anew), _plan(config)
        if found.get("versions") != plan["versions"]:
            told = found.get("versions")
            self._refuse("version of Wellstream or its libraries", changed_keys(told, plan["versions"]) if told else [])
        told = found.get("config")
        changed = changed_keys(told, plan["config"]) if isinstance(told, dict) else ["config"]
        refused = [key for key in of_pixels(changed) if (key, value_at(told, key)) != ("on_error", "raise")]
        if refused:
            self._refuse("config", refused)
        return tuple(changed)

    def _refuse(self, what: str, changed: Sequence[str]) -> NoReturn:
        raise DatasetError(
            f"{self.root}: holds an unfinished ingest of another {what}; it differs in "
            f"{', '.join(changed) or 'its form'}; continue with the same {what} (only omics, plate maps and tables of "
            "cells may change, and 'on_error: skip' may be set), choose another folder, or remove it to start anew: "
            f"rm -r {self.root}"
        )

    def _sweep(self) -> None:
        """Remove what killed attempts left half written."""
        with explained(self.root):
            for file in self.root.rglob(f"{TEMPORARY_PREFIX}*"):
                file.unlink(missing_ok=True)

    def finish(self, keep: set[str]) -> None:
        """Remove files no part of the dataset: parts of an earlier listing of the same export."""
        with explained(self.root):
            for folder in ("shards", "qc", "targets"):
                # Deepest first, so that a folder is empty when its turn comes.
                for entry in sorted((self.root / folder).rglob("*"), reverse=True):
                    if entry.is_dir() and not entry.is_symlink():
                        if not any(entry.iterdir()):
                            entry.rmdir()
                    elif entry.relative_to(self.root).as_posix() not in keep:
                        entry.unlink()


def _plan(config: StrictModel) -> dict[str, Any]:
    """Return what a build that goes on is compared with."""
    return {"config": config.plain(), "versions": versions()}


def file_state(file: Path) -> str:
    """Return what tells a changed file from an unchanged one."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return f"{file} absent"
    return f"{file} {facts.st_size} {facts.st_mtime_ns}"


@cache
def versions() -> dict[str, str]:
    """Return the versions that shape the bytes of a dataset."""
    return {"wellstream": __version__, **{name: version(name) for name in _SHAPING}}


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


def bag_rows(root: Path) -> list[dict[str, Any]]:
    """Return the rows of bags.parquet. Raises DatasetError: it is missing or damaged."""
    then = f"find all damage with: wellstream verify {root}"
    with open_parquet(root / BAGS_NAME, what="the bags of a dataset (Parquet)", then=then) as table:
        rows: list[dict[str, Any]] = table.read().to_pylist()
    return rows


def remake_part(file: Path) -> str:
    """Return what to do about a damaged part of an unfinished ingest."""
    return f"run the same command again, it makes {file.name} anew"


def is_whole(item: FileRecord, root: Path) -> bool:
    """Return whether a file of the dataset is there with its recorded size."""
    file = root / item.name
    return file.is_file() and file.stat().st_size == item.bytes
