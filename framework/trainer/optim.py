"""Optimiser and learning rate of a run, the latter a pure function of the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from framework.errors import RunError
from framework.trainer.optimisers import OPTIMISERS, OptimConfig
from framework.trainer.schedules import SCHEDULES


def build_optimiser(objective: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Return the optimiser over all parameters that train.

    Raises:
        RunError: no parameter trains.
    """
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    if not parameters:
        raise RunError(f"{type(objective).__name__} has no parameters that train")
    return OPTIMISERS.get(config.name).build(parameters, config)


def build_scheduler(
    optimiser: torch.optim.Optimizer, config: OptimConfig, steps: int, done: int = 0
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the scheduler as it is after ``done`` of ``train.steps``; it sets the learning rate of the next step.

    Nothing of it is read from a checkpoint: the rate is a function of the config and the step.
    """
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, config, steps), done - 1)


def build_scaler(
    precision: Literal["fp32", "bf16", "fp16"], device: torch.device, state: Mapping[str, Any] | None = None
) -> torch.amp.GradScaler:
    """Return what scales the loss of ``fp16`` so that small gradients do not become 0; it does nothing otherwise.

    Args:
        precision: precision of the forward pass.
        device: device of the run.
        state: as a checkpoint keeps it; empty or None: the scale begins anew.
    """
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    if state and scaler.is_enabled():
        scaler.load_state_dict(dict(state))
    return scaler


def rate_factor(step: int, config: OptimConfig, steps: int) -> float:
    """Return what ``lr`` is multiplied by in step ``step`` (0-based): the warm-up, then what the schedule says."""
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    factor = SCHEDULES.get(config.schedule.name).build
    return factor(config.schedule, step - config.warmup_steps, steps - config.warmup_steps)
