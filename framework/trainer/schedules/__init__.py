"""Schedules of the learning rate; one file per entry."""

from framework.trainer.schedules.base import SCHEDULES, Factor, ScheduleConfig
from framework.trainer.schedules.constant import ConstantConfig
from framework.trainer.schedules.cosine import CosineConfig

__all__ = ["SCHEDULES", "ConstantConfig", "CosineConfig", "Factor", "ScheduleConfig"]
