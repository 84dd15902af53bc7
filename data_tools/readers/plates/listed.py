"""Images that an export lists in a file, and which of several measurements is meant.

What is listed and is not there is a problem with its name; a folder is read once, since a look at each of 100,000
images is slow on network disks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from data_tools.readers.plates.base import ImageRef
from data_tools.readers.plates.places import ImageFile
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Undecided
from framework.errors import InputError, did_you_mean

_SHOWN = 6


class ListedFiles:
    """Files below a folder, listed once per sub-folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[PurePosixPath, frozenset[str]] = {}

    def find(self, url: str) -> tuple[Path, str | None]:
        """Return the file of a listed name, and why it cannot be used (None: it can)."""
        relative = PurePosixPath(url.replace("\\", "/"))
        file = self.root / relative
        if (
            not relative.parts
            or relative.is_absolute()
            or ".." in relative.parts
            or ":" in relative.parts[0]
            or "\0" in url
        ):
            return file, "path_outside_export"
        folder = relative.parent
        if folder not in self._names:
            place = self.root / folder
            self._names[folder] = frozenset(entry.name for entry in place.iterdir()) if place.is_dir() else frozenset()
        return file, None if relative.name in self._names[folder] else "missing_image"


def unusable(ref: ImageRef, file: Path, reason: str, where: str = "the index") -> Problem:
    """Return what is wrong with a listed image that ``ListedFiles.find`` cannot use."""
    what = {
        "missing_image": f"{where} lists this image, but there is no such file; copy the export again",
        "path_outside_export": f"{where} names an image outside the export, which is not read",
    }[reason]
    return Problem(
        plate=ref.plate,
        well=ref.well,
        site=ref.site,
        file=str(file),
        reason=reason,
        detail=f"{file}: {what}; plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}'",
    )


def check_listed(
    refs: Sequence[ImageRef], urls: dict[ImageFile, str], root: Path, where: str = "the index"
) -> tuple[list[ImageRef], list[Problem]]:
    """Return the images whose files are all there, and a problem for each file that is not.

    Args:
        refs: images, perhaps of several planes.
        urls: what the export calls each file.
        root: folder that the names begin in.
        where: what lists them, for messages.
    """
    listing = ListedFiles(root)
    kept, problems = [], []
    for ref in refs:
        found = [listing.find(urls[place]) for place in ref.files]
        lost = [unusable(ref, target, reason, where) for target, reason in found if reason is not None]
        problems += lost
        if not lost:
            kept.append(ref.with_files([target for target, _ in found]))
    return kept, problems


def one_measurement(path: Path, found: Sequence[Path], measurement: str | None) -> Path | None:
    """Return the file of the measurement that is read, None where there is none.

    Args:
        path: the folder that the config names.
        found: the file of each measurement below it.
        measurement: the folder that the config chooses, or a part of its path.

    Raises:
        InputError: several, and none or more than one is chosen; their images would be taken for one plate's.
    """
    by_file = {os.path.realpath(file): file for file in sorted(found)}
    files = list(by_file.values())
    if measurement is not None:
        named = [file for file in files if _is_called(file.relative_to(path), measurement)]
        if len(named) != 1:
            words = sorted({part for file in files for part in file.relative_to(path).parts[:-1]})
            raise InputError(
                f"{path}: {len(named)} measurements are called '{measurement}'; it holds "
                f"{_places(path, files) or 'none'}{did_you_mean(measurement, words)}"
            )
        return named[0]
    if len(files) > 1:
        text = (
            f"{path}: holds {len(files)} measurements ({_places(path, files)}); write the index or the folder of one "
            f"of them in 'path:', or choose one with 'measurement: {files[0].relative_to(path).parts[0]}'"
        )
        folders = [file.parent.relative_to(path).as_posix().removesuffix("/Images") for file in files]
        raise Undecided(text, "measurement", folders, each=True)
    return files[0] if files else None


def _is_called(file: PurePosixPath | Path, measurement: str) -> bool:
    folders = file.parts[:-1]
    return measurement in folders or "/".join(folders).removesuffix("/Images") == measurement.rstrip("/")


def _places(path: Path, files: Sequence[Path]) -> str:
    return ", ".join(str(file.relative_to(path)) for file in files[:_SHOWN]) + (" ..." if len(files) > _SHOWN else "")
