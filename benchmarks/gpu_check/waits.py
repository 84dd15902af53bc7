"""How often a training step makes the processor wait for the device.

On CUDA, PyTorch itself says where it does. On the CPU nothing waits; there the operations are counted that would wait
on a GPU because the processor needs their values (``item``, ``nonzero`` and what is built on it). What a step
reads with ``tolist`` is not an operation there and shows on CUDA only; it is read a step late, when it has arrived.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import OBJECTIVES, Scene
from framework.objectives import triplets
from framework.run.train.build import Built
from framework.run.train.config import RunConfig
from framework.run.train.rehearsal import first_steps
from framework.trainer.loop import consumed_rows
from framework.trainer.step_numbers import Unread

MOST_WAITS = 2
WARM_UP, COUNTED = 3, 3
_ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount", "equal")
"""Names of the operations whose result, or its size, the processor must know."""
_ON_PROCESSOR = "/torch/optim/"
"""Optimisers keep their counters of steps in the processor's memory, whatever the device."""


def waits_per_step(scene: Scene) -> Verdict:
    """The most waits of a step, of each objective, in float32 and as GPUs are used: bf16, gradients clipped."""
    found, places = {}, set()
    for name in OBJECTIVES:
        for precision in ("fp32", "bf16"):
            sections = {"train": {"precision": precision}, "optim": {"clip_norm": 1.0}}
            config = scene.config(name, **sections)
            with scene.training(config) as built:
                counts, where = _counted(scene, config, built)
            found[f"{name} {precision}"] = max(counts)
            places |= set(where)
    passed = max(found.values()) <= MOST_WAITS
    facts: dict[str, Any] = {"waits": found, "where": sorted(places)[:10]}
    return Verdict(passed=passed, expected=f"at most {MOST_WAITS} per step", found=facts)


def _counted(scene: Scene, config: RunConfig, built: Built) -> tuple[list[int], list[str]]:
    """Return the waits of each counted step, and the lines of ours that asked."""
    counts, where, unread = [], [], Unread()
    for number, (batch, step) in enumerate(first_steps(config, built, WARM_UP + COUNTED)):
        with waits(scene) as said:
            facts = step()
            consumed_rows(batch)
            unread.after(facts, settle=False)
        if number >= WARM_UP:
            counts.append(len(said))
            where += said
    return counts, where


@contextmanager
def waits(scene: Scene) -> Iterator[list[str]]:
    """Inside, write down every wait for the device: the lines of this project that asked for it."""
    said: list[str] = []
    if scene.device.type == "cuda":
        with _told_by_cuda(said):
            yield said
    else:
        # Where values are asked for on the processor alone, the way of a GPU is taken.
        with _Asked(said), patch.object(triplets, "LISTING", frozenset()):
            yield said


@contextmanager
def _told_by_cuda(said: list[str]) -> Iterator[None]:
    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        if "synchroniz" in str(message):
            said.append(_own_line())

    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
            warnings.showwarning = before


class _Asked(TorchDispatchMode):
    """Counts the operations that would wait on a GPU."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self._said = said

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        asks = name in _ASKING or (name in ("index", "index_put_") and _by_mask(args[1]))
        if asks and not any(_ON_PROCESSOR in frame.filename for frame in traceback.extract_stack(limit=20)):
            self._said.append(_own_line())
        call: Callable[..., Any] = func
        return call(*args, **(kwargs or {}))


def _by_mask(indices: Any) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _own_line() -> str:
    """Return the innermost line of this project outside the checks, as ``file:line``."""
    own = [frame for frame in traceback.extract_stack() if "/framework/" in frame.filename]
    if not own:
        return "elsewhere"
    return f"framework/{own[-1].filename.rsplit('/framework/', 1)[1]}:{own[-1].lineno}"


CHECKS = (Check(name="waits_per_step", work=waits_per_step),)
