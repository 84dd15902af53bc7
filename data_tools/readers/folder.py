"""Lists the images below a folder, with the same rule for all readers.

- Links to folders and files are followed like the real ones. A folder that is read already, by its own name or by
  another link, is not read again: so circles end, and ``latest -> run_3`` gives no image twice. Real folders go first.
- Hidden files and those that other systems leave (``._x.tif``, ``@eaDir``, thumbnails) are not images.
- What is passed over is said in a note, with an example.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from framework.errors import InputError

IMAGE_SUFFIXES = (".tif", ".tiff")
_OTHER_IMAGES = (*IMAGE_SUFFIXES, ".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".flex", ".zvi", ".nd2", ".czi", ".lif",
                 ".lsm", ".oib", ".oif", ".ims", ".stk", ".dv", ".ndpi", ".svs", ".vsi", ".c01", ".cif")  # fmt: skip
"""Suffixes of images that other programs read: such files are not passed over in silence."""
_PACKED_OR_PART = (".gz", ".bz2", ".xz", ".zst", ".zip", ".part", ".tmp", ".crdownload", ".filepart")
"""What the name of an image gets while it is copied, or once it is packed."""
_FOREIGN_FOLDERS = frozenset(
    ("@eadir", "__macosx", "#recycle", "$recycle.bin", "system volume information", "lost+found")
)
_THUMBNAIL = "_thumb"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What lies below a folder.

    Attributes:
        names: names of the images, relative to the folder with ``/``, sorted.
        facts: int64 (n, 2), size and time of change; -1 and 0 for a link that leads nowhere.
        notes: sentences on what was passed over.
    """

    names: list[str]
    facts: npt.NDArray[np.int64]
    notes: tuple[str, ...]


@dataclass(kw_only=True)
class _Walk:
    """Where a walk has been and what it found."""

    root: Path
    shown: str
    suffixes: Sequence[str]
    read: set[tuple[int, int]] = field(default_factory=set)
    found: list[tuple[str, int, int]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def whole(self) -> None:
        """Read the real folders, then those that only links lead to."""
        waiting = [""]
        while waiting or self.links:
            if not waiting:
                self.links.sort(reverse=True)
                waiting.append(self.links.pop())
            waiting += self._folder(waiting.pop())

    def _folder(self, below: str) -> list[str]:
        """Read a folder; return the real folders in it."""
        inside = []
        try:
            facts = (self.root / below).stat()
            if (facts.st_dev, facts.st_ino) in self.read:
                self.again.append(below)
                return []
            self.read.add((facts.st_dev, facts.st_ino))
            with os.scandir(self.root / below) as entries:
                for entry in entries:
                    name = below + entry.name
                    if not _is_folder(entry):
                        self._file(entry, name)
                    elif entry.name.startswith(".") or entry.name.lower() in _FOREIGN_FOLDERS:
                        self.hidden.append(f"{name}/")
                    elif entry.is_symlink():
                        self.links.append(f"{name}/")
                    else:
                        inside.append(f"{name}/")
        except OSError as error:
            place = f"{self.shown}/{below}".rstrip("/")
            raise InputError(f"{place}: this folder cannot be read ({error.strerror}); correct 'path'") from None
        return inside

    def _file(self, entry: os.DirEntry[str], name: str) -> None:
        lower = entry.name.lower()
        if not lower.endswith(tuple(self.suffixes)):
            self.others.append(name)
        elif lower.startswith(".") or _THUMBNAIL in lower:
            self.hidden.append(name)
        else:
            _check_name(self.shown, name)
            try:
                fact = entry.stat()
                self.found.append((name, fact.st_size, fact.st_mtime_ns))
            except OSError:
                self.found.append((name, -1, 0))


def images_below(root: Path, shown: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> Listing:
    """List the images below a folder.

    Args:
        root: the folder.
        shown: the folder as the user wrote it, for messages.
        suffixes: suffixes of images, in lower case.

    Raises:
        InputError: no such folder, none that can be read, or no image in it; says what there is instead.
    """
    if not root.is_dir():
        what = "this is a file, expected a folder of images" if root.exists() else "no such folder of images"
        raise InputError(f"{shown}: {what}; correct 'path'")
    walk = _Walk(root=root, shown=shown, suffixes=suffixes)
    walk.whole()
    if not walk.found:
        raise InputError(_nothing(walk))
    walk.found.sort()
    facts = np.asarray([facts for _, *facts in walk.found], dtype=np.int64)
    return Listing(names=[name for name, _, _ in walk.found], facts=facts, notes=_notes(walk))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _check_name(shown: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{shown}: the file name {name!a} is not UTF-8; rename the file") from None


def _nothing(walk: _Walk) -> str:
    kinds = ", ".join(walk.suffixes)
    what = f"{walk.shown}: no image ({kinds}) in this folder or below it"
    unread = _unread_images(walk)
    if unread:
        return f"{what}: its {len(unread)} images, as {min(unread)}, are of another format; save them as TIFF"
    if walk.others:
        return f"{what}: it holds {len(walk.others)} other files, as {min(walk.others)}; correct 'path'"
    if walk.hidden:
        return f"{what}: only hidden files or thumbnails, as {min(walk.hidden)}; correct 'path'"
    return f"{what}: it is empty; correct 'path'"


def _unread_images(walk: _Walk) -> list[str]:
    """Return files that are images by their names, but of no format that this reader takes."""
    return [name for name in walk.others if _is_image(name) and not name.rpartition("/")[2].startswith(".")]


def _is_image(name: str) -> bool:
    lower = name.lower()
    whole = next((lower.removesuffix(end) for end in _PACKED_OR_PART if lower.endswith(end)), lower)
    return whole.endswith(_OTHER_IMAGES)


def _notes(walk: _Walk) -> tuple[str, ...]:
    notes = []
    unread = _unread_images(walk)
    if unread:
        notes.append(
            f"{walk.shown}: {len(unread)} images of other formats, packed, or still being copied are not read, as "
            f"{min(unread)}; those read end in {', '.join(walk.suffixes)}"
        )
    if walk.hidden:
        notes.append(
            f"{walk.shown}: {len(walk.hidden)} hidden files, thumbnails or folders of other systems are not images and "
            f"are not read, as {min(walk.hidden)}"
        )
    if walk.again:
        notes.append(
            f"{walk.shown}: {len(walk.again)} links lead to folders that are read already, as {min(walk.again)}; they "
            "are not read again"
        )
    return tuple(notes)
