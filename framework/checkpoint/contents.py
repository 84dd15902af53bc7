"""What a checkpoint holds, gathered from what trains, and copied so that training may go on while it is written."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from framework.checkpoint.listing import AVERAGE, WEIGHTS

MOMENTS = "moments"
"""In ``state.json``: how many weight tensors the optimiser keeps something of."""


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a checkpoint holds.

    Attributes:
        step: completed steps.
        tensors: name of a file -> its tensors by name.
        facts: states of optimiser, scheduler and scale of the loss.
        state: JSON-ready facts.
    """

    step: int
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    facts: Mapping[str, Any]
    state: Mapping[str, Any]


def contents_of(
    *,
    step: int,
    objective: nn.Module,
    optimiser: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
    state: Mapping[str, Any],
    average: Mapping[str, torch.Tensor] | None = None,
    scaler: Mapping[str, Any] | None = None,
) -> Contents:
    """Return what a checkpoint of this moment holds; tensors are those that train, not copies.

    Args:
        step: completed steps.
        objective: its state dict is stored; pass the module itself, not what wraps it.
        optimiser: its state dict is stored.
        scheduler: its state dict is stored; None where the learning rate is constant.
        state: JSON-ready facts; ``step`` is added.
        average: name -> average of a weight, where the run keeps one.
        scaler: the state of the scale of the loss, where it is scaled.
    """
    moments = optimiser.state_dict()
    facts: dict[str, Any] = {"optimiser": moments, "scheduler": scheduler.state_dict() if scheduler else None}
    facts |= {"scaler": dict(scaler)} if scaler else {}
    return Contents(
        step=step,
        tensors={WEIGHTS: objective.state_dict(), **({} if average is None else {AVERAGE: average})},
        facts=facts,
        state={**state, "step": step, MOMENTS: len(moments["state"])},
    )


@dataclass(kw_only=True)
class Buffers:
    """Memory of the CPU that one checkpoint after the other is copied into; pinned for what lies on a GPU.

    It is kept between checkpoints: memory that is new costs more than the copy. It takes as many bytes as a checkpoint.
    """

    _kept: dict[tuple[object, ...], torch.Tensor] = field(default_factory=dict)

    def copied(self, contents: Contents) -> tuple[Contents, torch.cuda.Event | None]:
        """Return a copy of ``contents`` that lasts until the next call, and what to wait for before it is read.

        On a GPU copies are queued behind the work that is queued there already, so that what is queued later may change
        the originals; None: the copy is there.
        """
        is_queued = any(value.is_cuda for part in contents.tensors.values() for value in part.values())
        found = Contents(
            step=contents.step,
            tensors={part: self._copy(values, (part,)) for part, values in contents.tensors.items()},
            facts=self._copy(contents.facts, ("facts",)),
            state=copy.deepcopy(dict(contents.state)),
        )
        if not is_queued:
            return found, None
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return found, event

    def _copy(self, value: Any, place: tuple[object, ...]) -> Any:
        """Copy tensors in mappings and lists; ``place`` is the way to ``value`` from the outermost."""
        if isinstance(value, torch.Tensor):
            return self._tensor(value.detach(), place)
        if isinstance(value, Mapping):
            return {key: self._copy(inner, (*place, key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._copy(inner, (*place, at)) for at, inner in enumerate(value))
        return copy.deepcopy(value)

    def _tensor(self, value: torch.Tensor, place: tuple[object, ...]) -> torch.Tensor:
        kept = self._kept.get(place)
        if kept is None or (kept.shape, kept.dtype, kept.stride()) != (value.shape, value.dtype, value.stride()):
            # In the same memory format; a tensor that overlaps itself comes out dense, and is made anew each time.
            kept = torch.empty_like(value, device="cpu", pin_memory=value.is_cuda)
            self._kept[place] = kept
        return kept.copy_(value, non_blocking=value.is_cuda)
