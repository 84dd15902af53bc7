"""The learning rate falls to 0 along half a cosine."""

from __future__ import annotations

import math
from typing import Literal

from framework.trainer.schedules.base import SCHEDULES, ScheduleConfig


class CosineConfig(ScheduleConfig):
    """``schedule: cosine``; 0 is reached at ``train.steps``."""

    name: Literal["cosine"] = "cosine"


@SCHEDULES.register("cosine", CosineConfig)
def cosine(config: CosineConfig, step: int, steps: int) -> float:
    """Return half of 1 + cos, from 1 in step 0 to 0 in step ``steps``."""
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, steps))))
