"""What a schedule is: what the learning rate is multiplied by, as a pure function of the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from framework.config.model import ShortOptions
from framework.registry import Registry


class ScheduleConfig(ShortOptions):
    """Options of a schedule, and what others must know of it."""

    depends_on_steps: ClassVar[bool] = True
    """Whether ``train.steps`` changes the rate of a step; then a run cannot be made longer or shorter later."""


Factor = Callable[[Any, int, int], float]
"""``factor(options, step, steps)``: both steps are counted from the end of the warm-up;
``step`` is in 0 .. ``steps``."""

SCHEDULES: Registry[Factor] = Registry("schedule", options=ScheduleConfig)
