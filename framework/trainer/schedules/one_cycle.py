"""The learning rate rises to its peak and falls far below its start, along two halves of a cosine (Smith 2018)."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from framework.trainer.schedules.base import SCHEDULES, ScheduleConfig


class OneCycleConfig(ScheduleConfig):
    """``schedule: one_cycle``; ``optim.lr`` is the peak. Numbers and defaults are those of torch's ``OneCycleLR``."""

    name: Literal["one_cycle"] = "one_cycle"
    rise: float = Field(default=0.3, gt=0.0, lt=1.0)
    """Part of the steps in which the rate rises."""
    start: float = Field(default=0.04, gt=0.0, le=1.0)
    """The first rate, as a part of the peak."""
    end: float = Field(default=4e-6, ge=0.0, le=1.0)
    """The last rate, as a part of the peak."""


@SCHEDULES.register("one_cycle", OneCycleConfig)
def one_cycle(config: OneCycleConfig, step: int, steps: int) -> float:
    """Return ``start`` in step 0, 1 at the peak, ``end`` in the last step."""
    last = max(1.0, steps - 1.0)
    peak = min(max(config.rise * steps - 1.0, 0.0), last)
    if step <= peak and peak > 0:
        return _between(config.start, 1.0, step / peak)
    return _between(1.0, config.end, min(1.0, (step - peak) / max(last - peak, 1e-9)))


def _between(first: float, second: float, share: float) -> float:
    return second + (first - second) / 2.0 * (1.0 + math.cos(math.pi * share))
