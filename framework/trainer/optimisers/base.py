"""What an optimiser is: options that all share, and a function from parameters to one of torch's optimisers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import torch
from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from framework.config import NamedOptions, choice
from framework.registry import Registry
from framework.trainer.schedules import SCHEDULES, ConstantConfig, ScheduleConfig

if TYPE_CHECKING:
    ScheduleChoice: TypeAlias = ScheduleConfig
else:
    ScheduleChoice = choice(SCHEDULES, short=True)


class OptimConfig(NamedOptions):
    """The section ``optim``: what every optimiser has; the defaults are those of Image2Omics' pretraining."""

    elementwise: ClassVar[bool] = False
    """Whether the step of a number depends on that number, its gradient and their history alone. Then many models can
    share one optimiser (``wellstream heads``)."""

    name: str
    lr: float = Field(default=1e-4, gt=0.0)
    """Learning rate after warm-up."""
    weight_decay: float = Field(default=0.01, ge=0.0)
    """Weight decay: decoupled for ``adamw``, an L2 term of the gradient for ``adam`` and ``sgd``."""
    schedule: ScheduleChoice = ConstantConfig()
    """``cosine`` and ``linear`` fall to 0 at ``train.steps``, ``one_cycle`` rises first, ``step`` falls in steps."""
    warmup_steps: int = Field(default=0, ge=0)
    """The learning rate rises linearly over this many steps."""
    clip_norm: float | None = Field(default=None, gt=0.0)
    """Largest L2 norm of the gradient over all parameters; larger gradients are scaled down."""

    @model_serializer(mode="wrap")
    def _own_options_before_those_of_the_schedule(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        last = [key for key in ("schedule", "warmup_steps", "clip_norm") if key in plain]
        return {key: plain[key] for key in (*(key for key in plain if key not in last), *last)}


def _are_decays(betas: tuple[float, float]) -> tuple[float, float]:
    if not all(0.0 <= beta < 1.0 for beta in betas):
        raise ValueError(f"betas: expected two numbers in [0, 1), found {list(betas)}")
    return betas


Betas = Annotated[tuple[float, float], AfterValidator(_are_decays)]
"""Decay of the first and of the second moments."""


def fused(parameters: Sequence[torch.Tensor]) -> bool | None:
    """Return what torch's optimisers take as ``fused``: one kernel for all numbers where all lie on a GPU.

    None elsewhere, which is torch's own choice: the bits of a step on the CPU stay as they were.
    """
    return True if all(value.is_cuda for value in parameters) else None


Builder = Callable[[list[torch.nn.Parameter], Any], torch.optim.Optimizer]
"""``build(parameters, options)``; the parameters are those that train, at least one. The state of the optimiser is kept
in checkpoints by ``state_dict``, as tensors and plain values."""

OPTIMISERS: Registry[Builder] = Registry("optimiser", options=OptimConfig)
