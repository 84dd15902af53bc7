"""Optimiser and learning rate, the latter a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from framework.errors import RunError
from framework.trainer.config import OptimConfig


def build_optimiser(objective: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Return the optimiser over all parameters that train.

    Raises:
        RunError: no parameter trains.
    """
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    if not parameters:
        raise RunError(f"{type(objective).__name__} has no parameter to train")
    match config.name:
        case "adamw":
            return torch.optim.AdamW(parameters, config.lr, betas=config.betas, weight_decay=config.weight_decay)
        case "adam":
            return torch.optim.Adam(parameters, config.lr, betas=config.betas, weight_decay=config.weight_decay)
        case "sgd":
            momentum = config.betas[0]
            return torch.optim.SGD(parameters, config.lr, momentum=momentum, weight_decay=config.weight_decay)


def build_scheduler(
    optimiser: torch.optim.Optimizer, config: OptimConfig, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the scheduler; ``steps`` is where a cosine reaches 0."""
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, config, steps))


def rate_factor(step: int, config: OptimConfig, steps: int) -> float:
    """Return what ``lr`` is multiplied by in step ``step`` (0-based): in [0, 1], never 0 before ``steps``."""
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
