"""The checkpoints of a run: which are sound, which is the newest, and the text files that point to one."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.durable import write_text
from framework.errors import CheckpointError
from framework.files.failures import is_inside
from framework.files.json_file import parse_json, read_mapping, read_text

log = logging.getLogger(__name__)

WEIGHTS, AVERAGE, OPTIMISER = "model.safetensors", "average.safetensors", "optimiser.pt"
STATE, MANIFEST = "state.json", "manifest.json"
MOST_STEPS = 1 << 53
NAME = re.compile(r"^step-(\d{8,})$")


def newest_valid(folder: Path | str) -> Path | None:
    """Return the newest checkpoint whose every byte is as written, or None; each damaged one on the way is named.

    Newest is by attempt, then by step: after a resume from an older checkpoint, what it led to counts, not the
    abandoned steps beyond it.
    """
    for path in _newest_first(Path(folder)):
        fault = fault_of(path)
        if fault is None:
            return path
        log.warning("%s: %s; trying the checkpoint before it", path, fault)
    return None


def digest(path: Path) -> str:
    """Return 64 hex digits that name a checkpoint whole: SHA-256 of its manifest, which names every file in it."""
    return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()


def of_digest(folder: Path | str, wanted: str) -> Path:
    """Return the checkpoint that ``digest`` names.

    Raises:
        CheckpointError: there is none; lists what there is.
    """
    found = {path: digest(path) for path in _newest_first(Path(folder)) if (path / MANIFEST).is_file()}
    for path, name in found.items():
        if name == wanted.strip().lower():
            return path
    listed = ", ".join(f"{path.name} {name}" for path, name in found.items()) or "none"
    raise CheckpointError(
        f"{folder}: no checkpoint has the head '{wanted[:80]}', so it was altered or removed, or it belongs "
        f"to another run; the heads here: {listed}"
    )


def sound_states(folder: Path | str) -> dict[Path, dict[str, Any]]:
    """Return ``state.json`` of each checkpoint where it is as its manifest says, the newest first."""
    found = {}
    for path in _newest_first(Path(folder)):
        try:
            content = (path / STATE).read_bytes()
            recorded = read_mapping(path / MANIFEST, error=CheckpointError)["files"][STATE]["sha256"]
            if hashlib.sha256(content).hexdigest() == recorded:
                found[path] = parse_json(content, path / STATE, error=CheckpointError)
        except (CheckpointError, OSError, KeyError, TypeError):
            continue
    return found


def newest_attempt(folder: Path | str) -> int:
    """Return the highest number of an attempt that wrote a sound checkpoint; -1 where there is none."""
    numbers = [state.get("attempt") for state in sound_states(folder).values()]
    return max((number for number in numbers if type(number) is int and number < MOST_STEPS), default=-1)


def prune(folder: Path | str, keep: int, sound: Path | None = None) -> tuple[Path, ...]:
    """Remove all but the ``keep`` newest checkpoints, the one ``best`` points to and the newest valid one.

    Args:
        folder: folder of the checkpoints.
        keep: at least 1.
        sound: one that was written just now, so that its bytes need not be looked at again; None: look at all.

    Returns:
        What was removed.
    """
    root = Path(folder)
    ordered = list(_newest_first(root))
    valid = next((path for path in ordered if path == sound or fault_of(path) is None), None)
    spared = {*ordered[:keep], valid, read_pointer(root, "best")}
    removed = tuple(path for path in ordered if path not in spared)
    for path in removed:
        # Renamed first: a half-deleted folder must not look like a damaged checkpoint.
        doomed = path.with_name(f".{path.name}.old-{os.getpid()}")
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    return removed


def write_pointer(folder: Path, pointer: str, name: str) -> None:
    """Make the text file ``folder/<pointer>`` (``latest`` or ``best``) name the checkpoint ``name``, in one step."""
    write_text(folder / pointer, name + "\n")


def read_pointer(folder: Path, pointer: str) -> Path | None:
    """Return the checkpoint that ``latest`` or ``best`` names, or None when there is no such pointer."""
    file = folder / pointer
    if not file.is_file():
        return None
    name = read_text(file, error=CheckpointError, what="the name of a checkpoint", then="remove the file").strip()
    if not NAME.match(name):
        raise CheckpointError(f"{file}: expected a name like step-00001000, found '{name[:40]}'; remove the file")
    return folder / name


def _newest_first(folder: Path) -> Iterator[Path]:
    found = [path for path in folder.iterdir() if path.is_dir() and NAME.match(path.name)] if folder.is_dir() else []
    yield from sorted(found, key=_age, reverse=True)


def _age(path: Path) -> tuple[float, int]:
    """(attempt, step); unreadable state counts as newest, so that its damage is reported rather than passed over."""
    step = int(path.name.removeprefix("step-"))
    try:
        state = read_mapping(path / STATE, error=CheckpointError)
        return float(state.get("attempt", 0)), step
    except (CheckpointError, ValueError, TypeError):
        return float("inf"), step


def record_of(file: Path) -> dict[str, Any]:
    """Return bytes and SHA-256 of a file, as the manifest has them."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def fault_of(folder: Path) -> str | None:
    """Say what is wrong with a checkpoint, or None when every file is as its manifest says."""
    if not folder.is_dir():
        return "no such checkpoint folder"
    try:
        if not (folder / MANIFEST).exists():
            return f"{MANIFEST} is missing, so it was never finished"
        for name in (MANIFEST, WEIGHTS, AVERAGE, OPTIMISER, STATE):
            if not is_inside(folder / name, folder):
                return f"{name} is a link that leads out of the checkpoint"
        manifest = read_mapping(folder / MANIFEST, error=CheckpointError)
        also = (AVERAGE,) if AVERAGE in manifest["files"] else ()
        records = {name: manifest["files"][name] for name in (WEIGHTS, *also, OPTIMISER, STATE)}
        for name, record in records.items():
            file = folder / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != record["bytes"]:
                return f"{name} is damaged: expected {record['bytes']} bytes, found {file.stat().st_size}"
            if record_of(file)["sha256"] != record["sha256"]:
                return f"{name} is damaged: its content differs from the recorded SHA-256"
    except (CheckpointError, KeyError, TypeError):
        return f"{MANIFEST} is damaged"
    except OSError as error:
        return f"cannot be read: {error}"
    return None
