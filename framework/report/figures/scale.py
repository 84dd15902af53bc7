"""Scale bars: a round length that fits into an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patheffects import AbstractPathEffect, withStroke

_WIDEST = 0.4
"""Part of an image's width that a bar may have."""


def round_length(pixel_size_um: float | None, width_px: float) -> tuple[float, float] | None:
    """Return a bar for an image: its length as 1, 2 or 5 times a power of ten in um, and in pixels.

    Args:
        pixel_size_um: pixel size of the image; None or 0: not known.
        width_px: width of the image.

    Returns:
        The longest that takes at most two fifths of the width; None where the pixel size is not known.
    """
    if not pixel_size_um or width_px <= 0:
        return None
    most = _WIDEST * width_px * pixel_size_um
    power = 10.0 ** math.floor(math.log10(most) + 1e-9)
    length = max(each * power for each in (1, 2, 5) if each * power <= most * (1 + 1e-9))
    return length, length / pixel_size_um


def stored_pixel_size(arrays: Mapping[str, npt.NDArray[Any]]) -> float | None:
    """Return ``pixel_size_um`` of stored pixels; None where it is not known, as in files of earlier versions."""
    size = np.asarray(arrays.get("pixel_size_um", np.nan))
    if size.shape != () or size.dtype.kind not in "iuf":
        return None
    return float(size) if np.isfinite(size) and size > 0 else None


def draw_scale_bar(
    panel: Axes, pixel_size_um: float | None, width_px: float, height_px: float, left: float = 0.0, top: float = 0.0
) -> None:
    """Draw a bar with its length in um at the lower right of an image.

    Args:
        panel: shows it.
        pixel_size_um: pixel size of the image; None or 0: not known, and nothing is drawn.
        width_px, height_px: of what is seen of it.
        left, top: where that begins, in pixels.
    """
    bar = round_length(pixel_size_um, width_px)
    if bar is None:
        return
    length, pixels = bar
    right, low = left + width_px * 0.95 - 0.5, top + height_px * 0.93 - 0.5
    around: list[AbstractPathEffect] = [withStroke(linewidth=1.4, foreground="black")]
    panel.plot([right - pixels, right], [low, low], color="white", linewidth=2.2, solid_capstyle="butt",
               path_effects=[withStroke(linewidth=3.0, foreground="black")])  # fmt: skip
    # It ends with the bar, because in a small image it is wider than the bar.
    text = panel.annotate(f"{length:g} µm", (right, low), (0, 2.5), textcoords="offset points",
                          ha="right", va="bottom", color="white", fontsize=7)  # fmt: skip
    text.set_path_effects(around)
