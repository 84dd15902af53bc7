"""Batch normalisation over the rows of all ranks, so that N ranks train exactly as one process with the whole batch.

``torch.nn.SyncBatchNorm`` runs on CUDA alone; this one needs only a gather, so it also runs on gloo. Objectives hand
their networks the rows that count and no padding (``Batch.without_padding``), so a rank may bring fewer rows than
others, or none, and what a rank brings is what enters the statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import nn

from framework.distributed.ranks import Ranks

_Gather: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose training statistics cover all ranks; parameters, buffers and evaluation are those of BatchNorm.

    Each rank contributes count, mean and summed squared deviation per channel; they are merged as in Chan, Golub and
    LeVeque 1979. Gradients flow through the gather, so they too equal those of one process. A rank without rows
    contributes a count of 0 and takes part in every collective, forward and backward.

    A channel that has one value in all has variance 0, where BatchNorm raises ValueError: the last step of an epoch may
    hold one row, and a network may reduce it to one pixel.

    Attributes:
        gather: rows of this rank -> rows of all ranks, with the exact gradient; None: the rows of this rank alone.
    """

    gather: _Gather | None = None

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (n, C, ...) input, found {input.dim()} dimension(s)")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(n, C, ...) -> the same shape, normalised per channel over all ranks; evaluation as BatchNorm."""
        self._check_input_dim(input)
        one_value = input.numel() == input.shape[1]
        if not self.training or (self.gather is None and not one_value):
            return super().forward(input)
        count, mean, variance = _global_moments(input, self.gather or _alone)
        if self.running_mean is not None:
            self._follow(count, mean.detach(), variance.detach())
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return (input * _beside(scale, input) + _beside(shift, input)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, count: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move the running statistics; the running variance is the unbiased one, as in BatchNorm."""
        running_mean, running_var = cast(torch.Tensor, self.running_mean), cast(torch.Tensor, self.running_var)
        batches = cast(torch.Tensor, self.num_batches_tracked)
        batches.add_(1)
        momentum = 1.0 / float(batches) if self.momentum is None else self.momentum
        weight = momentum * (count > 0).to(running_mean.dtype)
        running_mean.lerp_(mean.to(running_mean.dtype), weight)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        running_var.lerp_(unbiased.to(running_var.dtype), weight)


def _beside(per_channel: torch.Tensor, input: torch.Tensor) -> torch.Tensor:
    """(C,) -> (1, C, 1, ...), as many dimensions as ``input`` has."""
    return per_channel.view((1, -1) + (1,) * (input.dim() - 2))


def _alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def _global_moments(input: torch.Tensor, gather: _Gather) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Count (0-d), mean (C,) and biased variance (C,) over all ranks of (n, C, ...); all 0 where no rank has rows."""
    channels, over = input.shape[1], [0, *range(2, input.dim())]
    values = input.to(torch.promote_types(input.dtype, torch.float32))
    mine = values.numel() // channels
    # A mean over nothing would be NaN; these sums are 0 then, and part of the graph, so that backward meets the others.
    mean = values.sum(over) / max(mine, 1)
    squares = (values - _beside(mean, input)).square().sum(over)
    every = gather(torch.cat([mean.new_full((1,), mine), mean, squares])[None])
    counts, means, deviations = every[:, :1], every[:, 1 : 1 + channels], every[:, 1 + channels :]
    total = counts.detach().sum()
    merged = (counts * means).sum(dim=0) / total.clamp(min=1)
    variance = (deviations + counts * (means - merged).square()).sum(dim=0) / total.clamp(min=1)
    return total, merged, variance


def sync_batch_norm(module: nn.Module, ranks: Ranks) -> nn.Module:
    """Replace every BatchNorm1d and BatchNorm2d in ``module`` by one whose statistics cover the rows of all ranks.

    The same parameters and buffers stay in place under the same names, so checkpoints fit both ways. With one rank
    nothing is replaced.

    Returns:
        ``module``, or its replacement when it is itself a BatchNorm.
    """
    return module if ranks.world_size == 1 else _replaced(module, ranks.gather_rows)


def single_value_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm1d and BatchNorm2d in ``module`` by one that trains on one value per channel too.

    Everywhere else it computes what they do, with their kernels. Ranks see their own rows alone.

    Returns:
        ``module``, or its replacement when it is itself a BatchNorm.
    """
    return _replaced(module, None)


def share_running_statistics(module: nn.Module, ranks: Ranks, how: Literal["average", "first_rank"]) -> None:
    """Give every rank the same running statistics of batch normalisation; a collective.

    Ranks that normalise by their own rows have statistics of their own. A checkpoint keeps those of one rank. Without
    this, a run that goes on from it would validate with others than one that was never stopped.

    Args:
        module: its batch normalisations are changed in place.
        ranks: the processes.
        how: the mean over ranks (the variance is the mean of the ranks' variances), or those of rank 0.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    kept = [value for layer in layers for value in (layer.running_mean, layer.running_var) if value is not None]
    if ranks.world_size == 1 or not kept:
        return
    mine = torch.cat([value.flatten().double() for value in kept])
    if how == "first_rank" and not ranks.is_main:
        mine.zero_()
    shared = ranks.sum(mine) / (ranks.world_size if how == "average" else 1)
    for value, part in zip(kept, torch.split(shared, [value.numel() for value in kept]), strict=True):
        value.copy_(part.view_as(value))


def _replaced(module: nn.Module, gather: _Gather | None) -> nn.Module:
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return _global(module, gather)
    for name, child in list(module.named_children()):
        setattr(module, name, _replaced(child, gather))
    return module


def _global(local: Any, gather: _Gather | None) -> GlobalBatchNorm:
    replacement = GlobalBatchNorm(
        local.num_features, local.eps, local.momentum, local.affine, local.track_running_stats
    )
    replacement.gather = gather
    for name, parameter in local.named_parameters(recurse=False):
        replacement.register_parameter(name, parameter)
    for name, buffer in local.named_buffers(recurse=False):
        replacement.register_buffer(name, buffer)
    replacement.training = local.training
    return replacement
