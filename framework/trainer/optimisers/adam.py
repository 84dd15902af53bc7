"""Adam; weight decay is an L2 term of the gradient."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from framework.trainer.optimisers.base import OPTIMISERS, Betas, OptimConfig, fused


class AdamConfig(OptimConfig):
    """``optim: {name: adam}``."""

    elementwise: ClassVar[bool] = True
    name: Literal["adam"] = "adam"
    betas: Betas = (0.9, 0.999)
    """Decay of the running means of gradients and of their squares."""


@OPTIMISERS.register("adam", AdamConfig)
def adam(parameters: list[torch.nn.Parameter], config: AdamConfig) -> torch.optim.Optimizer:
    """Return torch's Adam."""
    return torch.optim.Adam(
        parameters, config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=fused(parameters)
    )
