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
from torch.autograd.function import once_differentiable
from torch.nn import functional

from framework.distributed.ranks import Ranks

_Gather: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose training statistics cover all ranks; parameters, buffers and evaluation are those of BatchNorm.

    Each rank contributes count, mean and summed squared deviation per channel; they are merged as in Chan, Golub and
    LeVeque 1979. Backward adds up two sums per channel over the ranks, so gradients too equal those of one process. A
    rank without rows contributes a count of 0 and takes part in every collective, forward and backward. What is kept
    for backward is the input, as BatchNorm keeps it, and a few numbers per channel. Gradients of gradients are refused.

    A channel that has one value in all has variance 0, where BatchNorm raises ValueError: the last step of an epoch may
    hold one row, and a network may reduce it to one pixel.

    Attributes:
        gather: rows of this rank -> rows of all ranks; None: the rows of this rank alone.
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
        output, count, mean, variance = _normalised(input, self.weight, self.bias, self.eps, self.gather or _alone)
        if self.running_mean is not None:
            self._follow(count, mean, variance)
        return output

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


class _Normalise(torch.autograd.Function):
    """(input, weight, bias, eps, gather) -> output, and the count, mean and biased variance over all ranks."""

    @staticmethod
    def forward(
        ctx: Any,
        input: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        eps: float,
        gather: _Gather,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalise input (n, C, ...) by the moments of all ranks, with the kernel of an evaluation."""
        total, mean, variance = _global_moments(input, gather)
        ctx.save_for_backward(input, weight, total, mean, variance)
        ctx.eps, ctx.gather = eps, gather
        ctx.mark_non_differentiable(total, mean, variance)
        ctx.set_materialize_grads(False)
        if not len(input):
            return torch.empty_like(input), total, mean, variance
        output = functional.batch_norm(input, mean, variance, weight, bias, training=False, eps=eps)
        return output, total, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of input, weight and bias.

        Those of weight and bias are this rank's own; whoever averages parameters over ranks adds them up.
        """
        input, weight, total, mean, variance = ctx.saved_tensors
        asked = gradients[0]
        mine = _asked_sums(asked, input, mean, variance, ctx.eps)
        of_input = None
        if ctx.needs_input_grad[0]:
            every = ctx.gather(mine[None]).sum(dim=0) / total.clamp(min=1)
            of_input = _input_gradient(asked, input, weight, every, mean, torch.rsqrt(variance + ctx.eps))
        if weight is None:
            return of_input, None, None, None, None
        return of_input, mine[0].to(weight.dtype), mine[1].to(weight.dtype), None, None


def _normalised(
    input: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float, gather: _Gather
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
    found = _Normalise.apply(input, weight, bias, eps, gather)  # type: ignore[no-untyped-call]
    return found


def _asked_sums(
    asked: torch.Tensor | None, input: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, eps: float
) -> torch.Tensor:
    """(2, C), sums over this rank's rows of gradient x normalised value, and of the gradient; 0 where it has none."""
    if asked is None or not len(input):
        return mean.new_zeros(2, len(mean))
    # CUDA refuses to begin without what a forward pass keeps; a CPU does not look at it.
    kept = mean, torch.rsqrt(variance + eps)
    # An evaluation's backward: with these moments as constants, the gradients of weight and bias are the two sums.
    _, scaled, plain = torch.ops.aten.native_batch_norm_backward(
        asked, input, torch.ones_like(mean), mean, variance, *kept, False, eps, [False, True, True]
    )
    return torch.stack([scaled, plain])


def _input_gradient(
    asked: torch.Tensor | None,
    input: torch.Tensor,
    weight: torch.Tensor | None,
    sums: torch.Tensor,
    mean: torch.Tensor,
    inverse_sd: torch.Tensor,
) -> torch.Tensor:
    """Return w / sd (gradient - mean(gradient) - normalised mean(gradient normalised)), with means over all ranks."""
    scale = inverse_sd if weight is None else inverse_sd * weight
    slope = -scale * inverse_sd * sums[0]
    found = torch.addcmul(_beside(-scale * sums[1] - slope * mean, input), input, _beside(slope, input))
    if asked is not None:
        found.addcmul_(asked, _beside(scale, input))
    return found.to(input.dtype)


def _beside(per_channel: torch.Tensor, input: torch.Tensor) -> torch.Tensor:
    """(C,) -> (1, C, 1, ...), as many dimensions as ``input`` has."""
    return per_channel.view((1, -1) + (1,) * (input.dim() - 2))


def _alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def _global_moments(input: torch.Tensor, gather: _Gather) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Count (0-d), mean (C,) and biased variance (C,) over all ranks of (n, C, ...); all 0 where no rank has rows."""
    channels, mine = input.shape[1], input.numel() // input.shape[1]
    mean, own = _moments(input)
    every = gather(torch.cat([mean.new_full((1,), mine), mean, own * mine])[None])
    counts, means, deviations = every[:, :1], every[:, 1 : 1 + channels], every[:, 1 + channels :]
    total = counts.sum()
    merged = (counts * means).sum(dim=0) / total.clamp(min=1)
    variance = (deviations + counts * (means - merged).square()).sum(dim=0) / total.clamp(min=1)
    return total, merged, variance


def _moments(input: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and biased variance (C,) of (n, C, ...), float32 or more; 0 where there is no row."""
    precise = torch.promote_types(input.dtype, torch.float32)
    none = torch.zeros(input.shape[1], dtype=precise, device=input.device)
    if not len(input):
        return none, none
    if input.device.type == "cpu":
        # Of what is handed over, only the type counts: the running statistics stay as they are.
        return torch.batch_norm_update_stats(input, none, none.clone(), 0.0)
    variance, mean = torch.var_mean(input.to(precise), [0, *range(2, input.dim())], correction=0)
    return mean, variance


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
