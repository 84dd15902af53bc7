"""Baselines: what a model must beat, on the same rows by the same test; one file per baseline."""

from framework.baselines.asked import asked
from framework.baselines.base import BASELINES, Baseline, BaselineConfig, BaselineMissing
from framework.baselines.classic import ClassicConfig
from framework.baselines.compare import BaselinesConfig, chosen, with_baselines
from framework.baselines.count import CountConfig
from framework.baselines.imagenet import ImageNetBaselineConfig
from framework.baselines.intensity import IntensityConfig
from framework.baselines.mean import MeanConfig
from framework.baselines.of_features import features_with_baselines
from framework.baselines.position import PositionConfig
from framework.baselines.ridge import RidgeFit, ridge
from framework.baselines.rows import Rows
from framework.baselines.shuffled import ShuffledConfig
from framework.baselines.untrained import UntrainedConfig

__all__ = [
    "BASELINES",
    "Baseline",
    "BaselineConfig",
    "BaselineMissing",
    "BaselinesConfig",
    "ClassicConfig",
    "CountConfig",
    "ImageNetBaselineConfig",
    "IntensityConfig",
    "MeanConfig",
    "PositionConfig",
    "RidgeFit",
    "Rows",
    "ShuffledConfig",
    "UntrainedConfig",
    "asked",
    "chosen",
    "features_with_baselines",
    "ridge",
    "with_baselines",
]
