"""What an augmentation is: how tiles are changed in training, each by its place in the global step alone.

A new augmentation is its options and one function in one file::

    class MineConfig(AugmentConfig):
        name: Literal["mine"] = "mine"

    @AUGMENTATIONS.register("mine", MineConfig)
    def mine(tiles, positions, key, options): ...      # (n, C, H, W) -> the same shape and type
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from framework.config import StrictModel
from framework.data.permutation import I64
from framework.registry import Registry


class AugmentConfig(StrictModel):
    """Options of an augmentation; each declares ``name: Literal["its name"]``."""

    after_scale: ClassVar[bool] = False
    """Whether it changes scaled pixels (float32); False: stored ones, which for moving pixels about is quicker."""

    if TYPE_CHECKING:
        name: str

    @property
    def is_idle(self) -> bool:
        """Whether these options change nothing."""
        return False


Augment = Callable[[torch.Tensor, I64, int, Any], torch.Tensor]
"""``augment(tiles, positions, key, options)``: ``tiles`` (n, C, H, W) are not changed; ``positions``, int64 (n,), is
the place of each tile in the GLOBAL step, so that every world size sees the same pixels; ``key`` is of the step. What
becomes of a tile depends on ``key`` and its position, never on other tiles: draw by ``hash_u64(key, positions)``.
Returns the same shape and type."""

AUGMENTATIONS: Registry[Augment] = Registry("augmentation", options=AugmentConfig)
"""Augmentations by the name a config writes in ``data.augment``."""
