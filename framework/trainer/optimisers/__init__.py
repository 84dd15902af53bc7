"""Optimisers; one file per entry."""

from framework.trainer.optimisers.adam import AdamConfig
from framework.trainer.optimisers.adamw import AdamWConfig
from framework.trainer.optimisers.base import OPTIMISERS, Betas, OptimConfig
from framework.trainer.optimisers.sgd import SgdConfig

__all__ = ["OPTIMISERS", "AdamConfig", "AdamWConfig", "Betas", "OptimConfig", "SgdConfig"]
