"""Gradient descent with momentum; weight decay is an L2 term of the gradient."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from framework.trainer.optimisers.base import OPTIMISERS, Betas, OptimConfig, fused


class SgdConfig(OptimConfig):
    """``optim: {name: sgd}``; the first of ``betas`` is the momentum."""

    elementwise: ClassVar[bool] = True
    name: Literal["sgd"] = "sgd"
    betas: Betas = (0.9, 0.999)
    """The first number is the momentum; the second is not used."""


@OPTIMISERS.register("sgd", SgdConfig)
def sgd(parameters: list[torch.nn.Parameter], config: SgdConfig) -> torch.optim.Optimizer:
    """Return torch's SGD."""
    return torch.optim.SGD(
        parameters, config.lr, momentum=config.betas[0], weight_decay=config.weight_decay, fused=fused(parameters)
    )
