"""The folder a dataset is built in: how it is written to, and how a build that was killed is picked up again.

``.build/plan.json`` says which config the folder belongs to (omics tables aside, which may still be corrected). Each
finished part has a marker (``facts``) with a digest of all that went into it (files by size and modification time,
flat-fields by checksum), so a repaired image redoes its own part and nothing else. Every ``OSError`` of writing becomes
a sentence, and each file of the dataset has a record.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from framework import __version__
from framework.config import StrictModel
from framework.data.format.checksum import file_checksum
from framework.data.format.schema import MANIFEST_NAME, FileRecord, Manifest, read_manifest
from framework.durable import TEMPORARY_PREFIX, sole_writer, write_json
from framework.errors import DatasetError
from framework.files.json_file import read_mapping

BUILD_NAME = ".build"
_PLAN_NAME = "plan.json"
_OF_TARGETS = ("omics",)
"""Keys of a config that shape the targets alone, which are written at the very end."""
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
            if not self._plan_file.is_file():
                write_json(self._plan_file, _plan(config))
        self._sweep()
        return None

    def check(self, config: StrictModel) -> None:
        """Refuse a folder that is no place for this build; writes nothing. Raises as ``claim``."""
        if self.root.exists() and not self.root.is_dir():
            raise DatasetError(f"{self.root}: a file; choose a folder for the dataset")
        if not self.root.is_dir() or self.complete(config):
            return
        if self._plan_file.is_file():
            self._check_plan(config)
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
            changed = _differences(manifest.source, config.plain())
            raise DatasetError(
                f"{self.root}: a finished dataset of another config (differs in {', '.join(changed)}); choose another "
                f"folder, or remove it to start anew: rm -r {self.root}"
            )
        return manifest

    @property
    def _plan_file(self) -> Path:
        return self.parts / _PLAN_NAME

    def _check_plan(self, config: StrictModel) -> None:
        anew = f"remove the folder to start anew: rm -r {self.root}"
        found, plan = read_mapping(self._plan_file, what="the plan of an ingest", then=anew), _plan(config)
        for key, what in (("config", "config"), ("versions", "version of Wellstream or its libraries")):
            if found.get(key) != plan[key]:
                told = found.get(key)
                changed = _differences(told, plan[key]) if isinstance(told, dict) else []
                raise DatasetError(
                    f"{self.root}: holds an unfinished ingest of another {what}; "
                    + (f"it differs in {', '.join(changed)}; " if changed else "")
                    + f"continue with the same {what} (only 'omics' may change), choose another folder, or remove it "
                    f"to start anew: rm -r {self.root}"
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
    """Return what every part is made of: targets are no part, so an omics table may be corrected after a stop."""
    shaping = {key: value for key, value in config.plain().items() if key not in _OF_TARGETS}
    return {"config": shaping, "versions": versions()}


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


def _differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


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


def remake_part(file: Path) -> str:
    """Return what to do about a damaged part of an unfinished ingest."""
    return f"run the same command again, it makes {file.name} anew"


def is_whole(item: FileRecord, root: Path) -> bool:
    """Return whether a file of the dataset is there with its recorded size."""
    file = root / item.name
    return file.is_file() and file.stat().st_size == item.bytes
