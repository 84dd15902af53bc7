"""The training loop, and the five collaborators that it calls."""

from framework.trainer.average import Average
from framework.trainer.collaborators import Collaborators
from framework.trainer.config import EmaConfig, TrainConfig
from framework.trainer.loop import Outcome, fit, train_step
from framework.trainer.meters import Speed
from framework.trainer.optim import build_optimiser, build_scaler, build_scheduler, rate_factor
from framework.trainer.optimisers import OPTIMISERS, AdamWConfig, OptimConfig
from framework.trainer.progress import Progress
from framework.trainer.schedules import SCHEDULES
from framework.trainer.stop import Signals, Stopped

__all__ = [
    "OPTIMISERS",
    "SCHEDULES",
    "AdamWConfig",
    "Average",
    "Collaborators",
    "EmaConfig",
    "OptimConfig",
    "Outcome",
    "Progress",
    "Signals",
    "Speed",
    "Stopped",
    "TrainConfig",
    "build_optimiser",
    "build_scaler",
    "build_scheduler",
    "fit",
    "rate_factor",
    "train_step",
]
