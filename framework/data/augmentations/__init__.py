"""Augmentations: how tiles are changed in training; one file per entry."""

from framework.data.augmentations.base import AUGMENTATIONS, AugmentConfig
from framework.data.augmentations.symmetries import SymmetriesConfig

__all__ = ["AUGMENTATIONS", "AugmentConfig", "SymmetriesConfig"]
