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

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from framework.checkpoint.contents import MOMENTS
from framework.checkpoint.listing import (
    AVERAGE,
    MANIFEST,
    MOST_STEPS,
    NAME,
    OPTIMISER,
    STATE,
    WEIGHTS,
    fault_of,
)
from framework.errors import CheckpointError
from framework.files.failures import reading
from framework.files.json_file import read_mapping
from framework.files.tensors import load_tensors, load_weights_only

_OLDER = "resume from an older checkpoint"
F = TypeVar("F", int, dict[str, Any])
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


def load(path: Path | str, *, checked: bool = False) -> Checkpoint:
    """Read a checkpoint after checking every byte against its manifest.

    Args:
        path: a checkpoint folder.
        checked: whether its bytes were checked just now, and need not be again.

    Raises:
        CheckpointError: missing, incomplete or altered, or weights that are not numbers; the message names the file.
    """
    folder = Path(path)
    fault = None if checked else fault_of(folder)
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
        raise CheckpointError(
            f"{folder / STATE}: is from step {step}, but its folder has the name of another step; {_OLDER}"
        )
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
    """Load the moments of a checkpoint; the options of ``optimiser`` stay those of its config and device.

    A run may go on on another kind of device. Whether one kernel makes the whole step belongs to the device. So does
    the place of the counters of steps, which torch chooses by the options that it loads.

    Raises:
        CheckpointError: they are those of another optimiser or model.
    """
    file = checkpoint.path / OPTIMISER
    options = [{key: value for key, value in group.items() if key != "params"} for group in optimiser.param_groups]
    with reading(file, CheckpointError, "the state of this optimiser", _OLDER):
        stored = checkpoint.optimiser["param_groups"]
        groups = [{**group, **own} for group, own in zip(stored, options, strict=True)]
        optimiser.load_state_dict({**checkpoint.optimiser, "param_groups": groups})
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
        raise CheckpointError(f"{file}: holds moments of {len(found)} weight tensors, expected {expected}; {_OLDER}")
    names = {name for moments in found.values() for name in moments}
    for number, moments in found.items():
        lacking = sorted(names - set(moments))
        if lacking:
            raise CheckpointError(f"{file}: '{lacking[0]}' of weight tensor {number} is missing; {_OLDER}")


def _need_moments(file: Path, name: str, value: Any, parameter: torch.Tensor) -> None:
    """Raises CheckpointError: they do not fit the weights, or are not numbers that training gives."""
    if not isinstance(value, torch.Tensor) or value.shape != parameter.shape or not value.is_floating_point():
        fault = f"is {_form(value) if isinstance(value, torch.Tensor) else 'not a tensor'}: it is of another model"
    elif not torch.isfinite(value).all() or (name.endswith("_sq") and (value < 0).any()):
        fault = "holds values that training never gives (NaN, infinite or, of squares, below 0)"
    else:
        return
    raise CheckpointError(f"{file}: '{name}' of weights of shape {tuple(parameter.shape)} {fault}; {_OLDER}")


def _form(value: torch.Tensor) -> str:
    """Return shape and type of a tensor as messages name them."""
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
