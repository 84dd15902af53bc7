"""The gradient of a step: of the mean over all items of all ranks, in one pass or in parts.

Losses are sums. DDP averages gradients over ranks. So each rank multiplies its sum by world_size / (items of all
ranks), and the average is the gradient of the global mean, however unevenly items are distributed. In parts, the sums
of the parts add up to the sum of the step, and so do their gradients. The number of items is known only at the end, so
the gradient is scaled then.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import nn

from framework.data.batch import Batch
from framework.distributed import Ranks
from framework.errors import RunError
from framework.objectives import Losses
from framework.trainer.collaborators import Collaborators
from framework.trainer.stop import Signals


def backward(
    run: Collaborators, model: nn.Module, batch: Batch, parts: int, signals: Signals
) -> tuple[Losses, torch.Tensor]:
    """Leave the gradient of the global mean in the weights, which have none yet.

    Args:
        run: objective, optimiser and ranks.
        model: the objective as ``Ranks.wrap`` returned it.
        batch: rows of this rank.
        parts: in how many the rows pass the network, >= 1; the same on every rank.
        signals: what this process was told.

    Returns:
        The sums of this rank, and of all ranks (4,): loss, items, how many were told SIGTERM, and SIGINT.
    """
    if parts > 1:
        return _in_parts(run, model, batch, parts, signals)
    ranks = run.ranks
    with ranks.autocast():
        losses: Losses = model(batch, ranks.gather_rows)
    sums = _summed(ranks, losses, signals)
    loss = losses.total * (ranks.world_size / sums[1].clamp(min=1.0)).to(losses.total.dtype)
    with ranks.meeting("backward"):
        run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    return losses, sums


def _in_parts(
    run: Collaborators, model: nn.Module, batch: Batch, parts: int, signals: Signals
) -> tuple[Losses, torch.Tensor]:
    ranks, found = run.ranks, []
    expected = torch.ones(())
    for number, part in enumerate(batch.parts(parts)):
        is_last = number == parts - 1
        with nullcontext() if is_last else ranks.unsynced(model):
            with ranks.autocast():
                losses: Losses = model(part, _refused)
            if number == 0:
                # What the step would count if all parts were like the first: so 16-bit gradients have their usual size.
                expected = parts * ranks.sum(losses.count.double()).clamp(min=1.0)
            loss = losses.total * (ranks.world_size / expected).to(losses.total.dtype)
            with ranks.meeting("backward"):
                run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        found.append(_detached(losses))
    whole = _added(found)
    sums = _summed(ranks, whole, signals)
    factor = expected / sums[1].clamp(min=1.0)
    for gradient in (each.grad for each in run.objective.parameters() if each.grad is not None):
        gradient.mul_(factor)
    return whole, sums


def _summed(ranks: Ranks, losses: Losses, signals: Signals) -> torch.Tensor:
    """One small collective carries loss, count and signals to stop, so that all ranks stop at the same step."""
    total = losses.total.detach().double()
    # Filled on the device: a copy of Python numbers would wait for all that is queued there.
    told = [total.new_full((), float(signals.received == name)) for name in ("SIGTERM", "SIGINT")]
    return ranks.sum(torch.stack([total, losses.count.double(), *told]))


def _refused(rows: torch.Tensor) -> torch.Tensor:
    raise RunError(
        "train.accumulate: this objective gathers the rows of all ranks, so a part of a step is not enough for its "
        "loss: set couples_rows = True in its options and define cache_gradients, or leave out train.accumulate"
    )


def _detached(losses: Losses) -> Losses:
    return Losses(total=losses.total.detach(), count=losses.count.detach(), parts=losses.parts)


def _added(found: list[Losses]) -> Losses:
    """Add up the sums of the parts of a step."""
    names = found[0].parts
    return Losses(
        total=torch.stack([each.total for each in found]).sum(),
        count=torch.stack([each.count for each in found]).sum(),
        parts={
            name: (
                torch.stack([each.parts[name][0] for each in found]).sum(),
                torch.stack([each.parts[name][1] for each in found]).sum(),
            )
            for name in names
        },
    )
