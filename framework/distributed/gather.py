"""Gathering rows of all ranks with the gradient one process would have computed."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

# The name since PyTorch 2.13, and the one before.
_gather_into = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


class GatherRows(torch.autograd.Function):
    """(K, ...) rows of this rank -> (world * K, ...) rows of all ranks, rank by rank.

    Every rank uses the gathered rows, so a row's gradient is the sum over ranks of what each asks of it: backward adds
    the full gradients of all ranks and keeps the slice of this rank. Gathering without that sum (a detached gather, or
    a sum divided by the world size) changes the training silently.
    """

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        """Gather rows (K, ...); every rank must hold as many."""
        ctx.count = len(rows)
        gathered = rows.new_empty((dist.get_world_size() * len(rows), *rows.shape[1:]))
        _gather_into(gathered, rows.contiguous())
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> torch.Tensor:
        """Sum the gradients (world * K, ...) of all ranks and return those of this rank's rows, (K, ...)."""
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        first = dist.get_rank() * ctx.count
        mine: torch.Tensor = total[first : first + ctx.count]
        return mine


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """Apply ``GatherRows`` to (K, ...); needs an open process group."""
    gathered: torch.Tensor = GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return gathered
