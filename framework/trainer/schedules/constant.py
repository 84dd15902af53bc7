"""The learning rate stays as it is."""

from __future__ import annotations

from typing import ClassVar, Literal

from framework.trainer.schedules.base import SCHEDULES, ScheduleConfig


class ConstantConfig(ScheduleConfig):
    """``schedule: constant``."""

    depends_on_steps: ClassVar[bool] = False
    name: Literal["constant"] = "constant"


@SCHEDULES.register("constant", ConstantConfig)
def constant(config: ConstantConfig, step: int, steps: int) -> float:
    """Return 1."""
    return 1.0
