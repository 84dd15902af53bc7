"""``export``: flat-fields that the export holds: Harmony's polynomials, CellProfiler's illumination functions."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from data_tools.illumination.base import ILLUMINATIONS, FloatImage, IlluminationConfig
from framework.errors import InputError


class ExportIlluminationConfig(IlluminationConfig):
    """``illumination: {method: export}``; no mean is taken, so ``max_images`` changes nothing.

    Attributes:
        profile: which of Harmony's two flat-fields per channel to use: the one fitted to the background, or to the
            cells.
    """

    of_export: ClassVar[bool] = True
    method: Literal["export"] = "export"
    profile: Literal["background", "foreground"] = "background"


@ILLUMINATIONS.register("export", ExportIlluminationConfig)
def export(profile: FloatImage, options: ExportIlluminationConfig, channel: str) -> FloatImage:
    """Return the profile of an export, divided by its mean.

    Args:
        profile: float32 (H, W), in any unit.
        options: options of the method.
        channel: for messages.

    Raises:
        InputError: it is not finite, or not above 0 everywhere.
    """
    low, mean = float(profile.min()), float(profile.mean(dtype=np.float64))
    if not (np.isfinite(low) and np.isfinite(mean) and np.isfinite(profile).all()):
        raise InputError(f"channel '{channel}': the flat-field of the export is not finite; use another method")
    if low <= 0:
        raise InputError(
            f"channel '{channel}': the flat-field of the export falls to {low:g}, expected values above 0; use another "
            "illumination method"
        )
    scaled = (profile / mean).astype(np.float32)
    field: FloatImage = (scaled / scaled.mean(dtype=np.float64)).astype(np.float32)
    return field
