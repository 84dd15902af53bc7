"""The objects that the training loop calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from framework.checkpoint import Writer
from framework.data.batch import Batch
from framework.distributed import Ranks
from framework.objectives import Objective
from framework.tracking import AuditLog, Tracker
from framework.trainer.average import Average


class Source(Protocol):
    """What the loop needs of a loader."""

    wait_s: float

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield this rank's part of steps ``start`` to ``stop``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Collaborators:
    """The objects that the loop calls.

    Attributes:
        ranks: the processes.
        loader: training batches.
        validation: validation batches and how many make one pass; None without a validation part.
        objective: on its device, weights loaded.
        optimiser: over the objective's parameters, state loaded.
        scheduler: its learning rate, state loaded.
        checkpoints: folder of the run's checkpoints.
        tracker: metrics.
        audit: this rank's record of what it consumed.
        facts: JSON-ready facts for every ``state.json``.
        writer: writes checkpoints beside training; rank 0 uses it.
        average: average of the weights, if the run keeps one.
        scaler: scales the loss, for ``fp16``; it does nothing otherwise.
    """

    ranks: Ranks
    loader: Source
    validation: tuple[Source, int] | None
    objective: Objective
    optimiser: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    checkpoints: Path
    tracker: Tracker
    audit: AuditLog
    facts: Mapping[str, Any]
    writer: Writer = field(default_factory=Writer)
    average: Average | None = None
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler(enabled=False))
