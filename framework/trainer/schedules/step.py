"""The learning rate falls by a factor every so many steps."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from framework.trainer.schedules.base import SCHEDULES, ScheduleConfig


class StepConfig(ScheduleConfig):
    """``schedule: {name: step, every: 1000}``."""

    depends_on_steps: ClassVar[bool] = False
    name: Literal["step"] = "step"
    every: int = Field(ge=1, description="the number of steps after which the rate falls, >= 1")
    factor: float = Field(default=0.1, gt=0.0, le=1.0)
    """What the rate is multiplied by each time."""


@SCHEDULES.register("step", StepConfig)
def step_wise(config: StepConfig, step: int, steps: int) -> float:
    """Return ``factor`` to the power of how often ``every`` steps have passed."""
    return float(config.factor ** (step // config.every))
