"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from framework.trainer.optimisers.base import OPTIMISERS, Betas, OptimConfig, fused


class AdamWConfig(OptimConfig):
    """``optim: {name: adamw}``."""

    elementwise: ClassVar[bool] = True
    name: Literal["adamw"] = "adamw"
    betas: Betas = (0.9, 0.999)
    """Decay of the running means of gradients and of their squares."""


@OPTIMISERS.register("adamw", AdamWConfig)
def adamw(parameters: list[torch.nn.Parameter], config: AdamWConfig) -> torch.optim.Optimizer:
    """Return torch's AdamW."""
    return torch.optim.AdamW(
        parameters, config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=fused(parameters)
    )
