"""Scales: how stored pixels become what a network sees; one file per entry."""

from framework.data.scales.base import SCALES, Scale, ScaleConfig, ScaleProfile, plane, read_profile, unit_scales
from framework.data.scales.imagenet import ImageNetConfig
from framework.data.scales.log1p_standardise import Log1pStandardiseConfig
from framework.data.scales.none import NoScaleConfig
from framework.data.scales.per_tile_log1p import PerTileLog1pConfig
from framework.data.scales.per_tile_minmax import PerTileMinmaxConfig
from framework.data.scales.per_tile_standardise import PerTileStandardiseConfig
from framework.data.scales.plate_standardise import PlateStandardiseConfig
from framework.data.scales.unit_range import UnitRangeConfig

__all__ = [
    "SCALES",
    "ImageNetConfig",
    "Log1pStandardiseConfig",
    "NoScaleConfig",
    "PerTileLog1pConfig",
    "PerTileMinmaxConfig",
    "PerTileStandardiseConfig",
    "PlateStandardiseConfig",
    "Scale",
    "ScaleConfig",
    "ScaleProfile",
    "UnitRangeConfig",
    "plane",
    "read_profile",
    "unit_scales",
]
