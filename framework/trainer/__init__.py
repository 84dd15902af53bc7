"""The one training loop, and the five collaborators it calls in plain sight."""

from framework.trainer.config import OptimConfig, TrainConfig
from framework.trainer.loop import Collaborators, Outcome, fit
from framework.trainer.optim import build_optimiser, build_scheduler
from framework.trainer.progress import Progress
from framework.trainer.stop import Stopped

__all__ = [
    "Collaborators",
    "OptimConfig",
    "Outcome",
    "Progress",
    "Stopped",
    "TrainConfig",
    "build_optimiser",
    "build_scheduler",
    "fit",
]
