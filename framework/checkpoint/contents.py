"""What a checkpoint holds, gathered from what trains, and copied so that training may go on while it is written.

Weights, their average and the moments of the optimiser stay as they are until the optimiser's next step. Another thread
can copy them while the next gradient is computed. Everything else is copied at once.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from framework.checkpoint.listing import AVERAGE, WEIGHTS
from framework.errors import CheckpointError

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
        resting: memory of tensors that stay as they are until the optimiser's next step; others may change before.
    """

    step: int
    tensors: Mapping[str, Mapping[str, torch.Tensor]]
    facts: Mapping[str, Any]
    state: Mapping[str, Any]
    resting: frozenset[int] = frozenset()


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
    trains = [value for group in optimiser.param_groups for value in group["params"]]
    kept = [value for own in moments["state"].values() for value in own.values() if isinstance(value, torch.Tensor)]
    return Contents(
        step=step,
        tensors={WEIGHTS: objective.state_dict(), **({} if average is None else {AVERAGE: average})},
        facts=facts,
        state={**state, "step": step, MOMENTS: len(moments["state"])},
        resting=frozenset(value.data_ptr() for value in (*trains, *kept, *(average or {}).values())),
    )


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of what a checkpoint holds, which is whole after ``finish`` and ``arrive``; any thread may call them.

    Attributes:
        contents: the copy.
        late: what stays as it is until the optimiser's next step, and where it is copied to.
        versions: how often each of them had been changed.
        event: what to wait for on a GPU, where copies are queued behind the work that is queued there already.
    """

    contents: Contents
    late: list[tuple[torch.Tensor, torch.Tensor]]
    versions: list[int]
    event: torch.cuda.Event | None

    def finish(self) -> None:
        """Copy what is left, before the optimiser's next step."""
        for value, kept in self.late:
            kept.copy_(value)

    def arrive(self) -> None:
        """Wait for what a GPU copies."""
        if self.event is not None:
            self.event.synchronize()

    def check_unchanged(self) -> None:
        """Refuse a copy of weights that changed meanwhile; call it before the optimiser's next step.

        Raises:
            CheckpointError: something else than the optimiser changed them, so the copy may be half old, half new.
        """
        if [value._version for value, _ in self.late] != self.versions:
            raise CheckpointError(
                f"the checkpoint of step {self.contents.step} cannot be kept: weights changed before the optimiser's "
                "next step; an objective that changes weights itself keeps them in buffers (register_buffer), or out "
                "of the optimiser (requires_grad=False)"
            )


@dataclass(kw_only=True)
class Buffers:
    """Memory of the CPU that one checkpoint after the other is copied into; pinned for what lies on a GPU.

    It is kept between checkpoints: memory that is new costs more than the copy. It takes as many bytes as a checkpoint;
    pinned, up to twice as many, because PyTorch rounds each tensor up to a power of two.
    """

    _kept: dict[tuple[object, ...], torch.Tensor] = field(default_factory=dict)

    def copy(self, contents: Contents) -> Copy:
        """Return a copy of ``contents`` that lasts until the next call.

        On a GPU copies are queued behind the work that is queued there already, so that what is queued later may change
        the originals. On the CPU what rests is copied by ``Copy.finish``, the others now.
        """
        is_queued = any(value.is_cuda for part in contents.tensors.values() for value in part.values())
        late: list[tuple[torch.Tensor, torch.Tensor]] = []

        def copied(value: Any, place: tuple[object, ...]) -> Any:
            """Copy tensors in mappings and lists; ``place`` is the way to ``value`` from the outermost."""
            if isinstance(value, torch.Tensor):
                kept = self._place(value.detach(), place)
                if not value.is_cuda and value.data_ptr() in contents.resting:
                    late.append((value.detach(), kept))
                    return kept
                return kept.copy_(value.detach(), non_blocking=value.is_cuda)
            if isinstance(value, Mapping):
                return {key: copied(inner, (*place, key)) for key, inner in value.items()}
            if isinstance(value, list | tuple):
                return type(value)(copied(inner, (*place, at)) for at, inner in enumerate(value))
            return copy.deepcopy(value)

        found = Contents(
            step=contents.step,
            tensors={part: copied(values, (part,)) for part, values in contents.tensors.items()},
            facts=copied(contents.facts, ("facts",)),
            state=copy.deepcopy(dict(contents.state)),
        )
        event = None
        if is_queued:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        return Copy(contents=found, late=late, versions=[value._version for value, _ in late], event=event)

    def _place(self, value: torch.Tensor, place: tuple[object, ...]) -> torch.Tensor:
        kept = self._kept.get(place)
        if kept is None or (kept.shape, kept.dtype, kept.stride()) != (value.shape, value.dtype, value.stride()):
            # In the same memory format; a tensor that overlaps itself comes out dense, and is made anew each time.
            kept = torch.empty_like(value, device="cpu", pin_memory=value.is_cuda)
            self._kept[place] = kept
        return kept
