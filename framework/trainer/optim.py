"""Optimiser and learning rate of a run, the latter a pure function of the step."""

from __future__ import annotations

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
        raise RunError(f"{type(objective).__name__} has no parameter to train")
    return OPTIMISERS.get(config.name).build(parameters, config)


def build_scheduler(
    optimiser: torch.optim.Optimizer, config: OptimConfig, steps: int, done: int = 0
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the scheduler as it is after ``done`` of ``train.steps``; it sets the learning rate of the next step.

    Nothing of it comes from a checkpoint: the rate is a function of the config and the step.
    """
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, config, steps), done - 1)


def rate_factor(step: int, config: OptimConfig, steps: int) -> float:
    """Return what ``lr`` is multiplied by in step ``step`` (0-based): the warm-up, then what the schedule says."""
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    factor = SCHEDULES.get(config.schedule.name).build
    return factor(config.schedule, step - config.warmup_steps, steps - config.warmup_steps)
