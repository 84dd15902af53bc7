"""Checkpoints: folders that are complete and checked, or do not count.

A checkpoint holds weights, optimiser and plain facts, and no process group: it is written by one process and read by
any number. The checksum manifest is written last inside a temporary folder, the folder is renamed, and only then is
the pointer ``latest`` moved; whatever moment the machine dies at, the newest valid checkpoint is found again::

    checkpoints/
      step-00001000/model.safetensors   every weight and buffer of the objective
      step-00001000/average.safetensors the average of the weights, where the run keeps one
      step-00001000/optimiser.pt        optimiser, scheduler and scale of the loss, loadable with weights_only=True
      step-00001000/state.json          step, attempt, seeds, profiles, versions
      step-00001000/manifest.json       bytes and SHA-256 of the others
      latest, best                      text: the name of a checkpoint
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from framework.checkpoint.listing import (
    AVERAGE,
    MANIFEST,
    MOST_STEPS,
    NAME,
    OPTIMISER,
    STATE,
    WEIGHTS,
    fault_of,
    record_of,
    write_pointer,
)
from framework.durable import sync_folder, write_json
from framework.errors import CheckpointError
from framework.files.failures import reading
from framework.files.json_file import read_mapping
from framework.files.safetensors_file import load_tensors, save_tensors
from framework.files.torch_file import load_weights_only, save_plain

_LITTLE_MB = 100.0
MOMENTS = "moments"
"""In ``state.json``: how many weight tensors the optimiser keeps something of."""
_OLDER = "resume from an older checkpoint"
F = TypeVar("F", int, dict[str, Any])
_OPTIONS = ("lr", "betas", "eps", "weight_decay", "momentum", "dampening", "nesterov", "amsgrad", "maximize")
"""What a config says of an optimiser, by the names that torch's have."""
_LIKE_WEIGHTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")
"""What torch's optimisers keep for each weight of a tensor."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A verified checkpoint in memory (on the CPU).

    Attributes:
        path: its folder.
        step: completed steps.
        weights: the objective's state dict.
        optimiser: the optimiser's state dict.
        scheduler: the scheduler's state dict, or None.
        state: ``state.json``.
        average: name -> average of a weight; None where the run keeps none.
        scaler: the state of the scale of the loss; empty where it is not scaled.
    """

    path: Path
    step: int
    weights: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    scheduler: dict[str, Any] | None
    state: dict[str, Any]
    average: dict[str, torch.Tensor] | None = None
    scaler: dict[str, Any] = field(default_factory=dict)

    def fact(self, name: str, kind: type[F]) -> F:
        """Return an entry of ``state.json``.

        Args:
            name: its key.
            kind: what it has to be: ``int`` for a whole number from 0 on, ``dict`` for facts by name.

        Raises:
            CheckpointError: it is missing or something else.
        """
        value = self.state.get(name)
        if type(value) is not kind or (isinstance(value, int) and not 0 <= value < MOST_STEPS):
            wanted = "a whole number from 0 on" if kind is int else "facts by name"
            raise CheckpointError(f"{self.path / STATE}: '{name}' is {str(value)[:40]}; expected {wanted}; {_OLDER}")
        return value


def save(
    folder: Path,
    *,
    step: int,
    objective: nn.Module,
    optimiser: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
    state: Mapping[str, Any],
    average: Mapping[str, torch.Tensor] | None = None,
    scaler: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``folder/step-<step>`` so that it is complete or absent, then move the pointer ``latest``.

    Args:
        folder: the run's ``checkpoints`` folder; made when missing.
        step: completed steps.
        objective: its state dict is stored; pass the module itself, not what wraps it.
        optimiser: its state dict is stored.
        scheduler: its state dict is stored; None where the learning rate is constant.
        state: JSON-ready facts; ``step`` is added.
        average: name -> average of a weight, where the run keeps one.
        scaler: the state of the scale of the loss, where it is scaled.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: the disk is full or refuses; nothing of this checkpoint is left and older ones are untouched.
    """
    name = f"step-{step:08d}"
    inside = folder / f".{name}.tmp-{os.getpid()}"
    tensors = {WEIGHTS: objective.state_dict(), **({} if average is None else {AVERAGE: average})}
    moments = optimiser.state_dict()
    facts: dict[str, Any] = {"optimiser": moments, "scheduler": scheduler.state_dict() if scheduler else None}
    facts |= {"scaler": dict(scaler)} if scaler else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        _write(inside, tensors, facts, {**state, "step": step, MOMENTS: len(moments["state"])})
        _publish(inside, folder / name)
        write_pointer(folder, "latest", name)
    except OSError as error:
        shutil.rmtree(inside, ignore_errors=True)
        raise CheckpointError(
            f"{folder / name}: cannot be written: {_reason(folder, error)}; repair that and run the same command "
            "again, it continues from the newest checkpoint"
        ) from error
    return folder / name


def _write(
    inside: Path, tensors: Mapping[str, Mapping[str, torch.Tensor]], facts: Mapping[str, Any], state: Any
) -> None:
    """Fill the folder ``inside``, the manifest last."""
    inside.mkdir()
    for part, values in tensors.items():
        save_tensors(inside / part, values)
    save_plain(inside / OPTIMISER, facts)
    write_json(inside / STATE, state)
    files = {part: record_of(inside / part) for part in (*tensors, OPTIMISER, STATE)}
    write_json(inside / MANIFEST, {"format": 1, "files": files})


def _reason(folder: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.errno != errno.ENOSPC:
        return error.strerror
    free_mb = shutil.disk_usage(folder).free / 1e6 if folder.is_dir() else 0.0
    return f"the disk is full ({free_mb:.1f} MB free)" if free_mb < _LITTLE_MB else str(error)


def _publish(inside: Path, target: Path) -> None:
    """Rename ``inside`` to ``target``; a damaged or abandoned folder of that name steps aside first."""
    aside = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(aside)
    inside.rename(target)
    sync_folder(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint after checking every byte against its manifest.

    Args:
        path: a checkpoint folder.

    Raises:
        CheckpointError: missing, incomplete or altered, or weights that are no numbers; the message names the file.
    """
    folder = Path(path)
    fault = fault_of(folder)
    if fault:
        raise CheckpointError(f"{folder}: {fault}; resume from an older checkpoint, or with --resume auto")
    weights = _tensors(folder / WEIGHTS)
    parts = read_mapping(folder / MANIFEST, error=CheckpointError)["files"]
    average = _tensors(folder / AVERAGE) if AVERAGE in parts else None
    facts = load_weights_only(folder / OPTIMISER, what="the state of an optimiser", then=_OLDER)
    state = read_mapping(folder / STATE, error=CheckpointError, what="the state of a checkpoint", then=_OLDER)
    with reading(folder / OPTIMISER, CheckpointError, "the state of an optimiser", _OLDER):
        found = Checkpoint(
            path=folder,
            step=0,
            weights=weights,
            optimiser=facts["optimiser"],
            scheduler=facts["scheduler"],
            state=state,
            average=average,
            scaler=dict(facts.get("scaler", {})),
        )
    step, name = found.fact("step", int), NAME.match(folder.name)
    if name and int(name[1]) != step:
        raise CheckpointError(f"{folder / STATE}: is of step {step}, its folder says another; {_OLDER}")
    return replace(found, step=step)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """Read weights.

    Raises:
        CheckpointError: a value is NaN or infinite. Training never saves such a one, so the file was changed.
    """
    weights = load_tensors(file, then=_OLDER)
    bad = [name for name, value in weights.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise CheckpointError(
            f"{file}: {len(bad)} of {len(weights)} tensors hold NaN or infinite values, first '{bad[0]}'; {_OLDER}"
        )
    return weights


def restore(checkpoint: Checkpoint, objective: nn.Module) -> None:
    """Load the weights into ``objective``.

    Raises:
        CheckpointError: the checkpoint belongs to another model; names the first keys that differ.
    """
    wanted = {key: _form(value) for key, value in objective.state_dict().items()}
    stored = {key: _form(value) for key, value in checkpoint.weights.items()}
    if wanted != stored:
        differing = sorted(key for key in wanted.keys() | stored.keys() if wanted.get(key) != stored.get(key))
        first = differing[0]
        raise CheckpointError(
            f"{checkpoint.path}: belongs to another model: {len(differing)} of {len(wanted)} tensors differ, first "
            f"'{first}': expected {wanted.get(first, 'none')}, found {stored.get(first, 'none')}; use the config.yaml "
            "of the run that wrote it"
        )
    objective.load_state_dict(checkpoint.weights)


def restore_optimiser(checkpoint: Checkpoint, optimiser: torch.optim.Optimizer) -> None:
    """Load the moments of a checkpoint; the options of ``optimiser`` stay what its config says.

    Raises:
        CheckpointError: they are those of another optimiser or model.
    """
    file = checkpoint.path / OPTIMISER
    options = [{key: group[key] for key in _OPTIONS if key in group} for group in optimiser.param_groups]
    with reading(file, CheckpointError, "the state of this optimiser", _OLDER):
        optimiser.load_state_dict(checkpoint.optimiser)
        for group, own in zip(optimiser.param_groups, options, strict=True):
            group.update(own)
    _need_all_moments(checkpoint, file)
    for parameter, moments in optimiser.state.items():
        for name in _LIKE_WEIGHTS:
            if name in moments:
                _need_moments(file, name, moments[name], parameter)


def _need_all_moments(checkpoint: Checkpoint, file: Path) -> None:
    """Raises CheckpointError: a weight tensor has none of them, or not all. Its moments would begin anew in silence."""
    found = checkpoint.optimiser["state"]
    expected = checkpoint.state.get(MOMENTS, len(found))
    if len(found) != expected:
        raise CheckpointError(f"{file}: moments of {len(found)} weight tensors, expected those of {expected}; {_OLDER}")
    names = {name for moments in found.values() for name in moments}
    for number, moments in found.items():
        lacking = sorted(names - set(moments))
        if lacking:
            raise CheckpointError(f"{file}: '{lacking[0]}' of weight tensor {number} is missing; {_OLDER}")


def _need_moments(file: Path, name: str, value: Any, parameter: torch.Tensor) -> None:
    """Raises CheckpointError: they do not fit the weights, or are no numbers that training gives."""
    if not isinstance(value, torch.Tensor) or value.shape != parameter.shape or not value.is_floating_point():
        fault = f"is {_form(value) if isinstance(value, torch.Tensor) else 'no tensor'}: it is of another model"
    elif not torch.isfinite(value).all() or (name.endswith("_sq") and (value < 0).any()):
        fault = "holds values that training never gives (NaN, infinite or, of squares, below 0)"
    else:
        return
    raise CheckpointError(f"{file}: '{name}' of weights of shape {tuple(parameter.shape)} {fault}; {_OLDER}")


def _form(value: torch.Tensor) -> str:
    """Return shape and type of a tensor as messages name them."""
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
