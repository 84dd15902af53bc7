"""``intensity_peaks``: maxima of the smoothed intensities, each with the pixels that belong to it.

The intensities inside the threshold are smoothed by a Gaussian of 0.15 d; maxima lie at least 0.3 d apart. Of two peaks
with hardly a dip between them the brighter stays. Each then claims the pixels nearest to it: their centroid is the
centre, and peaks with too few pixels are debris.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.spatial import cKDTree

from data_tools.nuclei.base import NUCLEI, FloatImage, maxima
from data_tools.nuclei.sized import Levels, Points, SizedConfig, SizedMethod

DEFAULT_MIN_AREA = 0.25
_PEAK_SIGMA = 0.15
_PEAK_REACH = 0.3
_MAX_SADDLE = 0.95
_SADDLE_SAMPLES = 12
_MIN_GRID_DIAMETER_PX = 10.0
"""From here peaks are 0.3 d = 3 px apart."""


class IntensityPeaksConfig(SizedConfig):
    """``nuclei: {method: intensity_peaks}``, the default."""

    method: Literal["intensity_peaks"] = "intensity_peaks"
    min_area: float | None = Field(default=None, ge=0, lt=1)
    """Smallest area of a nucleus, as a share of the expected area. The default means half the expected diameter."""


@NUCLEI.register("intensity_peaks", IntensityPeaksConfig)
class IntensityPeaks(SizedMethod):
    """See the module."""

    options: IntensityPeaksConfig
    least_sigma_px = 1.5

    def sigma(self, diameter: float) -> float:
        """See ``SizedMethod``."""
        return diameter * _PEAK_SIGMA

    def peaks(self, plain: FloatImage, levels: Levels, diameter: float) -> tuple[Points, Points]:
        """See ``SizedMethod``."""
        mask = plain > levels.threshold
        inside = np.where(mask, plain - np.float32(levels.background), np.float32(0))
        blurred = cv2.GaussianBlur(inside, (0, 0), self.sigma(diameter), borderType=cv2.BORDER_REFLECT)
        smooth = np.asarray(blurred, dtype=np.float32)
        peaks = _separate_peaks(smooth, maxima(smooth, mask, diameter * _PEAK_REACH), diameter)
        if not len(peaks):
            return np.zeros((0, 2)), np.zeros(0)
        area, centres = _regions(mask, peaks, diameter)
        smallest = DEFAULT_MIN_AREA if self.options.min_area is None else self.options.min_area
        kept = area >= smallest * np.pi / 4 * diameter**2
        height = smooth[peaks[kept, 0], peaks[kept, 1]].astype(np.float64)
        return centres[kept], height / (height + levels.threshold - levels.background)


def _separate_peaks(smooth: FloatImage, peaks: npt.NDArray[np.int64], diameter: float) -> npt.NDArray[np.int64]:
    """Drop a peak where the straight way to a higher one within a diameter hardly dips: both belong to one nucleus."""
    order = np.lexsort((peaks[:, 1], peaks[:, 0], -smooth[peaks[:, 0], peaks[:, 1]]))
    peaks = peaks[order]
    if len(peaks) < 2:
        return peaks
    pairs = cKDTree(peaks).query_pairs(diameter, output_type="ndarray")
    share = np.linspace(0, 1, _SADDLE_SAMPLES)[None, :, None]
    way = np.rint(peaks[pairs[:, 0]][:, None] * (1 - share) + peaks[pairs[:, 1]][:, None] * share).astype(np.int64)
    lowest = smooth[way[..., 0], way[..., 1]].min(axis=1)
    high, low = pairs.min(axis=1), pairs.max(axis=1)
    one = lowest > _MAX_SADDLE * smooth[peaks[low, 0], peaks[low, 1]]
    kept = np.ones(len(peaks), dtype=bool)
    for pair in np.lexsort((low, high)):
        if one[pair] and kept[high[pair]]:
            kept[low[pair]] = False
    return peaks[kept]


def _regions(mask: npt.NDArray[np.bool_], peaks: npt.NDArray[np.int64], diameter: float) -> tuple[Points, Points]:
    """Give each mask pixel to the nearest peak within about a diameter.

    Distances are taken on a grid of every second pixel where no two peaks can fall on one grid point: four times less
    to do, and borders between regions stay within a pixel.

    Returns:
        Areas (n,) in px and centroids (n, 2) of the pixels each peak got.
    """
    grid = 2 if diameter >= _MIN_GRID_DIAMETER_PX else 1
    away = np.ones([-(-size // grid) for size in mask.shape], dtype=np.uint8)
    away[peaks[:, 0] // grid, peaks[:, 1] // grid] = 0
    distance, label = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.full(len(peaks) + 1, len(peaks), dtype=np.int64)
    owner[label[peaks[:, 0] // grid, peaks[:, 1] // grid]] = np.arange(len(peaks))
    owner_at = np.where(distance * grid <= diameter, owner[label], len(peaks))
    y, x = np.nonzero(mask)
    mine = owner_at[y // grid, x // grid]  # pixels of nobody go to the row after the last peak
    area = np.bincount(mine, minlength=len(peaks) + 1)[: len(peaks)].astype(np.float64)
    sums = [np.bincount(mine, weights=axis, minlength=len(peaks) + 1)[: len(peaks)] for axis in (y, x)]
    return area, np.stack(sums, axis=1) / np.maximum(area, 1)[:, None]
