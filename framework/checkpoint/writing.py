"""Writing a checkpoint: beside its place, synced, read back, and only then renamed into it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from framework.checkpoint.contents import Contents
from framework.checkpoint.listing import MANIFEST, OPTIMISER, STATE, record_of, write_pointer
from framework.durable import sync_folder, write_json
from framework.errors import CheckpointError
from framework.files.tensors import load_tensors, load_weights_only, save_plain, save_tensors

_LITTLE_MB = 100.0


def write(folder: Path, contents: Contents) -> Path:
    """Write ``folder/step-<step>`` so that it is complete or absent, then move the pointer ``latest``.

    Args:
        folder: the run's ``checkpoints`` folder; made when missing.
        contents: must not change meanwhile.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: the disk is full or refuses, or gives back other bytes than it was given; nothing of this
            checkpoint is left and older ones are untouched.
    """
    name = f"step-{contents.step:08d}"
    inside = folder / f".{name}.tmp-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        _fill(inside, contents)
        _publish(inside, folder / name)
        write_pointer(folder, "latest", name)
    except OSError as error:
        shutil.rmtree(inside, ignore_errors=True)
        raise CheckpointError(
            f"{folder / name}: cannot be written: {_reason(folder, error)}; repair that and run the same command "
            "again, it continues from the newest checkpoint"
        ) from error
    except CheckpointError:
        shutil.rmtree(inside, ignore_errors=True)
        raise
    return folder / name


def _fill(inside: Path, contents: Contents) -> None:
    """Fill the folder ``inside``, the manifest last, once every tensor reads back as it was given."""
    inside.mkdir()
    for part, values in contents.tensors.items():
        save_tensors(inside / part, values)
        _need_same(inside / part, load_tensors(inside / part), values)
    save_plain(inside / OPTIMISER, contents.facts)
    _need_same(inside / OPTIMISER, load_weights_only(inside / OPTIMISER, mapped=True), contents.facts)
    write_json(inside / STATE, contents.state)
    files = {part: record_of(inside / part) for part in (*contents.tensors, OPTIMISER, STATE)}
    write_json(inside / MANIFEST, {"format": 1, "files": files})


def _need_same(file: Path, found: Any, given: Any) -> None:
    """Raises CheckpointError: a tensor in ``file`` is not bit for bit what it was given."""
    if isinstance(given, torch.Tensor):
        if not _same_bits(found, given):
            raise CheckpointError(
                f"{file.parent.parent}: {file.name} reads back with other bytes than were written, so the "
                "disk or the memory of this machine is faulty; write to another disk"
            )
    elif isinstance(given, Mapping):
        for key, value in given.items():
            _need_same(file, found[key], value)
    elif isinstance(given, list | tuple):
        for there, value in zip(found, given, strict=True):
            _need_same(file, there, value)


def _same_bits(found: torch.Tensor, given: torch.Tensor) -> bool:
    """Whether two tensors hold the same bytes; NaN equals itself."""
    if (found.shape, found.dtype) != (given.shape, given.dtype):
        return False
    # Most hold numbers, which compare fastest as they are.
    mine = given.detach().cpu()
    return torch.equal(found, mine) or torch.equal(_bytes(found), _bytes(mine))


def _bytes(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous().reshape(-1).view(torch.uint8)


def _reason(folder: Path, error: OSError) -> str:
    free_mb = shutil.disk_usage(folder).free / 1e6 if folder.is_dir() else 0.0
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.strerror is None and free_mb < _LITTLE_MB):
        return f"the disk is full ({free_mb:.1f} MB free)"
    return error.strerror or str(error)


def _publish(inside: Path, target: Path) -> None:
    """Rename ``inside`` to ``target``; a damaged or abandoned folder of that name steps aside first."""
    aside = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(aside)
    inside.rename(target)
    sync_folder(target.parent)
    shutil.rmtree(aside, ignore_errors=True)
