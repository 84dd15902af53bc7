"""Batch normalisation over the rows of all ranks, so that N ranks train exactly as one process with the whole batch.

``torch.nn.SyncBatchNorm`` runs on CUDA alone; this one needs only a gather, so it also runs on gloo.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from framework.distributed.gather import gather_rows
from framework.distributed.ranks import Ranks


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose training statistics cover all ranks; parameters, buffers and evaluation are those of BatchNorm.

    Each rank contributes count, mean and summed squared deviation a channel; they are merged as in Chan, Golub and
    LeVeque 1979. Gradients flow through the gather, so they too equal those of one process.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (n, C, ...) input, found {input.dim()} dimension(s)")

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(n, C, ...) -> the same shape, normalised a channel over all ranks; evaluation as BatchNorm."""
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        rows = input.to(torch.promote_types(input.dtype, torch.float32)).transpose(0, 1).flatten(1)
        count, mean, variance = _global_moments(rows)
        if self.running_mean is not None:
            self._follow(count, mean.detach(), variance.detach())
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        shape = (1, -1) + (1,) * (input.dim() - 2)
        return (input * scale.view(shape) + shift.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, count: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> None:
        """Move the running statistics; the running variance is the unbiased one, as in BatchNorm."""
        running_mean, running_var = cast(torch.Tensor, self.running_mean), cast(torch.Tensor, self.running_var)
        batches = cast(torch.Tensor, self.num_batches_tracked)
        batches.add_(1)
        weight = 1.0 / float(batches) if self.momentum is None else self.momentum
        running_mean.lerp_(mean.to(running_mean.dtype), weight)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        running_var.lerp_(unbiased.to(running_var.dtype), weight)


def _global_moments(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Count (0-d), mean (C,) and biased variance (C,) over all ranks of rows (C, m)."""
    channels = len(rows)
    mean = rows.mean(dim=1)
    squares = (rows - mean[:, None]).square().sum(dim=1)
    count = mean.new_full((1,), rows.shape[1])
    every = gather_rows(torch.cat([count, mean, squares])[None])
    counts, means, deviations = every[:, :1], every[:, 1 : 1 + channels], every[:, 1 + channels :]
    total = counts.detach().sum()
    merged = (counts * means).sum(dim=0) / total
    variance = (deviations + counts * (means - merged).square()).sum(dim=0) / total
    return total, merged, variance


def sync_batch_norm(module: nn.Module, ranks: Ranks) -> nn.Module:
    """Replace every BatchNorm1d and BatchNorm2d in ``module`` by one whose statistics cover all ranks.

    The same parameters and buffers stay in place under the same names, so checkpoints fit both ways. With one rank
    nothing is replaced. Padding rows count in the statistics as every row does; so N ranks equal one process exactly
    where the rows of a step divide evenly among the ranks.

    Returns:
        ``module``, or its replacement when it is itself a BatchNorm.
    """
    if ranks.world_size == 1:
        return module
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return _global(module)
    for name, child in list(module.named_children()):
        setattr(module, name, sync_batch_norm(child, ranks))
    return module


def _global(local: Any) -> GlobalBatchNorm:
    replacement = GlobalBatchNorm(
        local.num_features, local.eps, local.momentum, local.affine, local.track_running_stats
    )
    for name, parameter in local.named_parameters(recurse=False):
        replacement.register_parameter(name, parameter)
    for name, buffer in local.named_buffers(recurse=False):
        replacement.register_buffer(name, buffer)
    replacement.training = local.training
    return replacement
