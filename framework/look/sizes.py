"""How large round objects are in an image, found without being told: scale-space maxima of a Laplacian of Gaussian.

A disc of diameter d answers most to a Laplacian of Gaussian with sigma d / (2 sqrt 2), times sigma squared. Touching
nuclei have a maximum each, so the sizes are those of nuclei, not of clumps; texture inside a nucleus answers weakly.

Source: Lindeberg 1998, "Feature detection with automatic scale selection".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SMALLEST_PX, _LARGEST_SHARE = 4.0, 0.25
_MOST_PX = 1024
"""Edge of the middle of an image that is looked at."""
_STEP = 1.15
"""Ratio of neighbouring diameters that are tried."""
_WORK_SIGMA_PX = 3.0
"""Larger Gaussians are taken in a reduced image, in which they keep this sigma."""
_LEAST_CONTRAST = 0.25
"""Of the typical strong answer; weaker maxima are texture and noise."""
_STRONG = 90.0
_LEAST_OBJECTS = 5


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Round bright objects of an image.

    Attributes:
        y_px, x_px: (n,) centres; the centre of the first pixel is 0.
        diameter_px: (n,).
        strength: (n,) answer of the filter, in the unit of the image.
    """

    y_px: Floats
    x_px: Floats
    diameter_px: Floats
    strength: Floats

    def __len__(self) -> int:
        return len(self.y_px)


def find_objects(image: npt.NDArray[Any]) -> Objects:
    """Find round bright objects of any size in an image.

    Args:
        image: (H, W), uint8, uint16 or float32, finite; never changed.

    Returns:
        Objects of its middle (1024 px) from 4 px to a quarter of the shorter edge; none where the image is flat or
        smaller than 16 px.
    """
    if min(image.shape) < 4 * _SMALLEST_PX:
        return _none()
    top, left = (max(0, (edge - _MOST_PX) // 2) for edge in image.shape)
    image = image[top : top + _MOST_PX, left : left + _MOST_PX]
    height, width = image.shape
    kind = image.dtype if image.dtype in (np.uint8, np.uint16, np.float32) else np.float32
    plain = cv2.medianBlur(np.ascontiguousarray(image, dtype=kind), 3).astype(np.float32)
    diameters = _SMALLEST_PX * _STEP ** np.arange(0, 60)
    diameters = diameters[diameters <= max(_LARGEST_SHARE * min(height, width), 2 * _SMALLEST_PX)]
    planes = [_response(plain, float(diameter)) for diameter in diameters]
    found = [_maxima(planes, level, diameters) for level in range(1, len(planes) - 1)]
    if not found:
        return _none()
    y, x, diameter, strength = (np.concatenate(parts) for parts in zip(*found, strict=True))
    kept = strength > _LEAST_CONTRAST * (float(np.percentile(strength, _STRONG)) if len(strength) else 0.0)
    return Objects(y_px=y[kept] + top, x_px=x[kept] + left, diameter_px=diameter[kept], strength=strength[kept])


def typical_diameter(objects: Objects) -> float | None:
    """Return the diameter of most of the bright area, in px; None of fewer than 5 objects.

    The median by area: small specks are many and cover little, nuclei cover most.
    """
    if len(objects) < _LEAST_OBJECTS:
        return None
    order = np.argsort(objects.diameter_px)
    weight = np.cumsum((objects.strength * objects.diameter_px**2)[order])
    return float(objects.diameter_px[order][np.searchsorted(weight, weight[-1] / 2)])


def joined(parts: Sequence[Objects]) -> Objects:
    """Return the objects of several images as one."""
    if not parts:
        return _none()
    names = ("y_px", "x_px", "diameter_px", "strength")
    return Objects(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _none() -> Objects:
    empty = np.zeros(0)
    return Objects(y_px=empty, x_px=empty, diameter_px=empty, strength=empty)


@dataclass(frozen=True, kw_only=True)
class _Plane:
    """The answer at one scale, in an image reduced ``factor`` times."""

    values: npt.NDArray[np.float32]
    factor: int


def _response(plain: npt.NDArray[np.float32], diameter: float) -> _Plane:
    sigma = diameter / (2 * np.sqrt(2))
    factor = max(1, int(sigma / _WORK_SIGMA_PX))
    small: npt.NDArray[Any] = plain
    if factor > 1:
        size = (max(1, plain.shape[1] // factor), max(1, plain.shape[0] // factor))
        small = cv2.resize(plain, size, interpolation=cv2.INTER_AREA)
    own = sigma / factor
    smooth = cv2.GaussianBlur(small, (0, 0), own, borderType=cv2.BORDER_REFLECT)
    values = -(own**2) * cv2.Laplacian(smooth, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT)
    return _Plane(values=np.asarray(values, dtype=np.float32), factor=factor)


def _maxima(planes: list[_Plane], level: int, diameters: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return (y, x, diameter, strength) of the maxima of a scale over place and over its two neighbours."""
    here = planes[level]
    values = here.values
    highest: npt.NDArray[Any] = cv2.dilate(values, np.ones((3, 3), np.uint8))
    for other in (planes[level - 1], planes[level + 1]):
        size = (values.shape[1], values.shape[0])
        near = cv2.dilate(other.values, np.ones((3, 3), np.uint8))
        same = near if near.shape == values.shape else cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
        highest = np.maximum(highest, same)
    y, x = np.nonzero((values >= highest) & (values > 0))
    scale = (planes[0].values.shape[0] * planes[0].factor) / values.shape[0]
    count = len(y)
    return (
        (y + 0.5) * scale - 0.5,
        (x + 0.5) * scale - 0.5,
        np.full(count, diameters[level]),
        values[y, x].astype(np.float64),
    )
