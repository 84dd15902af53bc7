"""Files that are on the disk when a call returns: written beside, synced, renamed, the folder synced."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def sync_folder(folder: Path) -> None:
    """Make renames and new names inside ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(file: Path) -> None:
    """Make the content of ``file`` survive a power cut."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def write_text(file: Path, text: str) -> None:
    """Replace ``file`` by ``text`` (UTF-8) in one step: a reader sees the old content or the new, never a part."""
    write_with(file, lambda path: path.write_text(text, encoding="utf-8"))


def write_with(file: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(path)`` make a file beside ``file``, then put it there in one step: for libraries that want paths."""
    beside = file.with_name(f".{file.name}.tmp-{os.getpid()}")
    try:
        write(beside)
        sync_file(beside)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(file.parent)


def write_arrays(file: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Replace ``file`` by a compressed ``.npz`` of ``arrays``, in one step."""

    def write(path: Path) -> None:
        with path.open("wb") as stream:  # given a path, NumPy would add .npz to its temporary name
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    write_with(file, write)


def write_json(file: Path, value: Any) -> None:
    """Replace ``file`` by ``value`` as indented JSON, in one step."""
    write_text(file, json_text(value))


def json_text(value: Any) -> str:
    """Return readable JSON with sorted keys and a final newline: equal values, equal text."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
