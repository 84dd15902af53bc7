"""``none``: images stay as they are."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from data_tools.illumination.base import ILLUMINATIONS, FloatImage, IlluminationConfig


class NoIlluminationConfig(IlluminationConfig):
    """``illumination: {method: none}``.

    The options of ``percentile_gaussian`` are accepted, so that a correction is switched off by one word, and kept,
    because datasets keep the options that they were made with.
    """

    corrects: ClassVar[bool] = False
    method: Literal["none"] = "none"
    percentile: float = Field(default=10, ge=0, le=100)
    """Not used; here so that another method can be switched off without deleting its keys."""
    kernel_px: int = Field(default=250, ge=1)
    """Not used, as ``percentile``."""
    sigma_px: float = Field(default=50, ge=0)
    """Not used, as ``percentile``."""


@ILLUMINATIONS.register("none", NoIlluminationConfig)
def none(mean: FloatImage, options: NoIlluminationConfig, channel: str) -> FloatImage:
    """Return a flat-field that changes nothing: float32 (H, W), 1 everywhere."""
    return np.ones_like(mean)
