"""The learning rate falls along a straight line."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from framework.trainer.schedules.base import SCHEDULES, ScheduleConfig


class LinearConfig(ScheduleConfig):
    """``schedule: linear``."""

    name: Literal["linear"] = "linear"
    end: float = Field(default=0.0, ge=0.0, le=1.0)
    """Part of ``optim.lr`` that is left at the last step."""


@SCHEDULES.register("linear", LinearConfig)
def linear(config: LinearConfig, step: int, steps: int) -> float:
    """Return 1 in step 0, ``end`` in step ``steps``, and what lies on the line between them."""
    return 1.0 + (config.end - 1.0) * min(1.0, step / max(1, steps))
