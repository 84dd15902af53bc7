"""The one training loop, and the five collaborators it calls in plain sight."""

from framework.trainer.config import TrainConfig
from framework.trainer.loop import Collaborators, Outcome, fit
from framework.trainer.meters import Speed
from framework.trainer.optim import build_optimiser, build_scheduler, rate_factor
from framework.trainer.optimisers import OPTIMISERS, AdamWConfig, OptimConfig
from framework.trainer.progress import Progress
from framework.trainer.schedules import SCHEDULES
from framework.trainer.stop import Stopped

__all__ = [
    "OPTIMISERS",
    "SCHEDULES",
    "AdamWConfig",
    "Collaborators",
    "OptimConfig",
    "Outcome",
    "Progress",
    "Speed",
    "Stopped",
    "TrainConfig",
    "build_optimiser",
    "build_scheduler",
    "fit",
    "rate_factor",
]
