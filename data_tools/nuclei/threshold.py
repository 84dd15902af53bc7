"""Which pixels belong to nuclei, and which stand out among them.

The threshold is one that hot pixels, empty fields and a few bright cells do not break.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
_BINS = 4096
_MIN_SEPARATION = 4.0
_NOISE_SDS = 6.0
_MAX_ZOOMS = 3


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Intensity levels of an image, in its unit.

    Attributes:
        background: typical value outside nuclei.
        threshold: pixels above it belong to nuclei.
    """

    background: float
    threshold: float


def find_levels(image: npt.NDArray[Any], threshold: Literal["otsu"] | float, diameter_px: float) -> Levels | None:
    """Return background and threshold of an image, or None where it is constant or smaller than a quarter nucleus.

    Otsu's threshold is taken over intensities clipped at the level that fewer pixels exceed than a quarter of a nucleus
    has, so that hot pixels and specks cannot stretch it. Where the two classes lie closer than four standard deviations
    of the darker one (noise cut in half lies at 2.7), the field holds one population, as an empty or a very sparse one
    does; then only what exceeds its median by six robust standard deviations counts.

    Args:
        image: (H, W), uint8, uint16 or float32.
        threshold: a fixed one, in the unit of the image, or Otsu's.
        diameter_px: expected diameter of a nucleus in px of ``image``.
    """
    values, weights = _values(image)
    low, high = float(values.min()), float(values.max())
    few = np.pi / 16 * diameter_px**2
    if not high > low or few >= image.size:
        return None
    step, counts = _histogram(values, weights, low, high)
    for _ in range(_MAX_ZOOMS):  # again without the few brightest pixels, so that they cost no resolution
        top = len(counts) - int(np.searchsorted(np.cumsum(counts[::-1]), few, side="right"))
        if top == len(counts):
            break
        step, counts = _histogram(values, weights, low, low + step * max(top, 1))
        if top > _BINS // 2:
            break
    split, separation = _otsu(counts)
    background = low + step * _quantile(counts[: split + 1], 0.5)
    found = low + step * (split + 0.5)
    if separation < _MIN_SEPARATION:
        background = low + step * _quantile(counts, 0.5)
        found = background + _NOISE_SDS * step * max(_lower_sd(counts), 1.0)
    level = found if isinstance(threshold, str) else threshold
    return Levels(background=min(background, level), threshold=level)


def _values(image: npt.NDArray[Any]) -> tuple[FloatImage, npt.NDArray[np.float64] | None]:
    """Return the values of an image and how many pixels have each: of integers each value once, else None for one."""
    if image.dtype.kind == "f":
        return image, None
    bins = int(np.iinfo(image.dtype).max) + 1
    counts = cv2.calcHist([image], [0], None, [bins], [0, bins]).ravel()
    present = np.flatnonzero(counts)
    return present.astype(np.float32), counts[present].astype(np.float64)


def _histogram(
    values: FloatImage, weights: npt.NDArray[np.float64] | None, low: float, high: float
) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the width of a bin, and how many pixels round to each; those beyond ``high`` fall into the last."""
    step = (high - low) / (_BINS - 1)
    bins = np.minimum((values - np.float32(low)) * np.float32(1 / step) + np.float32(0.5), np.float32(_BINS - 1))
    if weights is not None:
        return step, np.asarray(np.bincount(bins.astype(np.intp), weights, minlength=_BINS), dtype=np.float64)
    counts = cv2.calcHist([bins.astype(np.uint16)], [0], None, [_BINS], [0, _BINS])
    return step, np.asarray(counts, dtype=np.float64).ravel()


def _otsu(counts: npt.NDArray[np.float64]) -> tuple[int, float]:
    """Return the last bin of the darker class, and how far the class means lie apart in sd of the darker class."""
    levels = np.arange(len(counts), dtype=np.float64)
    weight = np.cumsum(counts)
    first = np.cumsum(counts * levels)
    second = np.cumsum(counts * levels**2)
    total, rest = weight[-1], np.maximum(weight[-1] - weight, 1e-12)
    darker = first / np.maximum(weight, 1e-12)
    brighter = (first[-1] - first) / rest
    between = weight * (total - weight) * (brighter - darker) ** 2
    split = int(np.argmax(between[:-1]))
    # a bin has a width: without its variance two-valued images would divide by zero
    variance = max(second[split] / max(weight[split], 1e-12) - darker[split] ** 2, 0.0) + 1 / 12
    return split, float((brighter[split] - darker[split]) / np.sqrt(variance))


def _quantile(counts: npt.NDArray[np.float64], share: float) -> float:
    return float(np.searchsorted(np.cumsum(counts), share * counts.sum()))


def _lower_sd(counts: npt.NDArray[np.float64]) -> float:
    """Return the sd from the darker half alone, which bright cells do not reach."""
    return _quantile(counts, 0.5) - _quantile(counts, 0.1587)


def maxima(response: FloatImage, allowed: npt.NDArray[np.bool_], reach: float) -> npt.NDArray[np.int64]:
    """Return int64 (n, 2): pixels that no pixel of the square of half-edge ``reach`` around exceeds; one a plateau."""
    edge = 2 * max(1, round(reach)) + 1
    highest = cv2.dilate(response, np.ones((edge, edge), np.uint8))
    top = response == highest
    top &= allowed
    at = np.flatnonzero(top)
    y, x = np.divmod(at, top.shape[1])
    if not _touch(top, y, x):
        return np.stack([y, x], axis=1)
    count, labels = cv2.connectedComponents(top.view(np.uint8), connectivity=8)
    member = labels.ravel()[at]
    size = np.maximum(np.bincount(member, minlength=count), 1)
    middle = [np.bincount(member, weights=axis, minlength=count) / size for axis in (y, x)]
    # of a plateau take the member nearest to its centroid, the first where several are
    distance = np.hypot(y - middle[0][member], x - middle[1][member])
    order = np.lexsort((x, y, distance, member))
    first = order[np.searchsorted(member[order], np.arange(1, count))]
    return np.stack([y[first], x[first]], axis=1).astype(np.int64)


def _touch(top: npt.NDArray[np.bool_], y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> bool:
    """Return whether any two of the pixels (y, x), those set in ``top``, are neighbours."""
    padded = np.pad(top, 1)
    return any(bool(padded[y + dy, x + dx].any()) for dy, dx in ((1, 2), (2, 0), (2, 1), (2, 2)))
