"""Schedules of the learning rate; one file per entry."""

from framework.trainer.schedules.base import SCHEDULES, Factor, ScheduleConfig
from framework.trainer.schedules.constant import ConstantConfig
from framework.trainer.schedules.cosine import CosineConfig
from framework.trainer.schedules.linear import LinearConfig
from framework.trainer.schedules.one_cycle import OneCycleConfig
from framework.trainer.schedules.step import StepConfig

__all__ = [
    "SCHEDULES",
    "ConstantConfig",
    "CosineConfig",
    "Factor",
    "LinearConfig",
    "OneCycleConfig",
    "ScheduleConfig",
    "StepConfig",
]
