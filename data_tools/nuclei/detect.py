"""From an image of nuclei to their centres.

Flow: median 3x3 (hot pixels) -> threshold -> one of three responses -> local maxima -> centres. Everything is tied to
the expected diameter d of a nucleus:

- ``log_binary``: Laplacian of Gaussian of the thresholded image, sigma d / (2 sqrt 2), which answers most to a disc.
- ``log_intensity``: the same of the intensities inside the threshold.
- ``intensity_peaks``: maxima of the intensities inside the threshold after a Gaussian of 0.15 d, at least 0.3 d apart;
  of two peaks with hardly a dip between them the brighter stays. Each then claims the pixels nearest to it: their
  centroid is the centre, and peaks with too few pixels are debris.

Large nuclei are sought in a reduced image, which costs no accuracy that matters, and makes the time a field takes
depend little on the magnification. The Gaussian keeps a sigma of 2 px of it, that of ``intensity_peaks`` 1.5 px, so
that a nucleus still spans 10 px: real fields of nuclei of 13 px, enlarged two and three times, gave the same F1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from data_tools.nuclei.config import NucleiConfig
from data_tools.nuclei.threshold import FloatImage, Levels, find_levels

Points = npt.NDArray[np.float64]
_PEAK_SIGMA = 0.15
_PEAK_REACH = 0.3
_MAX_SADDLE = 0.95
_SADDLE_SAMPLES = 12
_WORK_SIGMA_PX = 2.0
_PEAK_WORK_SIGMA_PX = 1.5
_MIN_GRID_DIAMETER_PX = 10.0
"""From here peaks are 0.3 d = 3 px apart."""


@dataclass(frozen=True, kw_only=True)
class Nuclei:
    """Centres of nuclei, sorted by y, then x.

    Attributes:
        y_px: float32 (n,), row of the centre; the centre of the first pixel is 0.
        x_px: float32 (n,), column.
        score: float32 (n,), 0..1, contrast to the background: c / (c + t), where c is the response and t the height of
            the threshold above the background (``log_binary``: the response itself, at most 2/e for an ideal disc).
    """

    y_px: FloatImage
    x_px: FloatImage
    score: FloatImage

    def __len__(self) -> int:
        return len(self.y_px)

    def centres(self) -> FloatImage:
        """Return float32 (n, 2), (y, x)."""
        return np.stack([self.y_px, self.x_px], axis=1)


def find_nuclei(image: npt.NDArray[Any], config: NucleiConfig, pixel_size_um: float | None = None) -> Nuclei:
    """Find the nuclei of an image.

    Args:
        image: (H, W), uint8, uint16 or float32, finite.
        config: method and expected diameter.
        pixel_size_um: needed where the diameter is in um.

    Returns:
        Centres with scores; none for an image without contrast, as a black or a saturated one.

    Raises:
        InputError: the diameter is in um and the pixel size unknown, or too few px.
    """
    diameter = config.in_px(pixel_size_um)
    is_log = config.method != "intensity_peaks"
    if is_log:
        sigma, least = diameter / np.sqrt(8) / 2, _WORK_SIGMA_PX
    else:
        sigma, least = diameter * _PEAK_SIGMA, _PEAK_WORK_SIGMA_PX
    factor = max(1, int(sigma / least))
    clean = cv2.medianBlur(image, 3)
    plain = _reduced(clean, factor)
    levels = find_levels(clean if factor == 1 else plain, config, diameter / factor)  # integers are quicker to count
    if levels is None:
        return _sorted(np.zeros((0, 2)), np.zeros(0), image.shape)
    if is_log:
        points, score = _log_peaks(plain, levels, diameter / factor, binary=config.method == "log_binary")
    else:
        points, score = _intensity_peaks(plain, levels, diameter / factor, config.smallest_area)
    kept = score >= config.min_score
    return _sorted((points[kept] + 0.5) * factor - 0.5, score[kept], image.shape)


def _reduced(image: npt.NDArray[Any], factor: int) -> FloatImage:
    """Average blocks of factor x factor px; the last blocks repeat the border where the size is no multiple."""
    plain = image.astype(np.float32)
    if factor == 1:
        return plain
    height, width = (-size % factor for size in image.shape)
    padded = cv2.copyMakeBorder(plain, 0, height, 0, width, cv2.BORDER_REPLICATE) if height or width else plain
    size = (padded.shape[1] // factor, padded.shape[0] // factor)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _intensity_peaks(plain: FloatImage, levels: Levels, diameter: float, smallest_area: float) -> tuple[Points, Points]:
    mask = plain > levels.threshold
    inside = np.where(mask, plain - np.float32(levels.background), np.float32(0))
    blurred = cv2.GaussianBlur(inside, (0, 0), diameter * _PEAK_SIGMA, borderType=cv2.BORDER_REFLECT)
    smooth = np.asarray(blurred, dtype=np.float32)
    peaks = _separate_peaks(smooth, _maxima(smooth, mask, diameter * _PEAK_REACH), diameter)
    if not len(peaks):
        return np.zeros((0, 2)), np.zeros(0)
    area, centres = _regions(mask, peaks, diameter)
    kept = area >= smallest_area * np.pi / 4 * diameter**2
    height = smooth[peaks[kept, 0], peaks[kept, 1]].astype(np.float64)
    return centres[kept], height / (height + levels.threshold - levels.background)


def _log_peaks(plain: FloatImage, levels: Levels, diameter: float, *, binary: bool) -> tuple[Points, Points]:
    mask = plain > levels.threshold
    rise = np.float32(1) if binary else plain - np.float32(levels.background)
    response = _smooth_response(np.where(mask, rise, np.float32(0)).astype(np.float32), diameter / np.sqrt(8))
    peaks = _maxima(response, mask & (response > 0), 1)
    height = response[peaks[:, 0], peaks[:, 1]].astype(np.float64)
    score = np.clip(height, 0, 1) if binary else height / (height + levels.threshold - levels.background)
    return _between_pixels(response, peaks), score


def _smooth_response(image: FloatImage, sigma: float) -> FloatImage:
    """Return minus sigma^2 times the Laplacian of Gaussian; of a wide one, filtered at half resolution.

    There sigma still spans 2 px, so cubic interpolation gives the full resolution back; averaging 2 x 2 px has already
    blurred by a variance of 1/4.
    """
    if sigma < 2 * _WORK_SIGMA_PX:
        return _negative_log(image, sigma)
    half = _negative_log(_reduced(image, 2), np.sqrt(sigma**2 - 0.25) / 2)
    size = (2 * half.shape[1], 2 * half.shape[0])
    whole = cv2.resize(half, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(whole[: image.shape[0], : image.shape[1]], dtype=np.float32)


def _negative_log(image: FloatImage, sigma: float) -> FloatImage:
    """Return minus sigma^2 times the Laplacian of Gaussian, from sampled kernels as scipy.ndimage takes them."""
    reach = int(4 * sigma + 0.5)
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    gauss = np.exp(-0.5 * (x / sigma) ** 2)
    gauss /= gauss.sum()
    second = (x**2 / sigma**4 - 1 / sigma**2) * gauss
    along = cv2.sepFilter2D(image, cv2.CV_32F, second, gauss, borderType=cv2.BORDER_REFLECT)
    across = cv2.sepFilter2D(image, cv2.CV_32F, gauss, second, borderType=cv2.BORDER_REFLECT)
    return np.asarray((along + across) * np.float32(-(sigma**2)), dtype=np.float32)


def _maxima(response: FloatImage, allowed: npt.NDArray[np.bool_], reach: float) -> npt.NDArray[np.int64]:
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


def _between_pixels(response: FloatImage, peaks: npt.NDArray[np.int64]) -> Points:
    """Move each peak to the top of the parabola through it and its neighbours, at most half a pixel along each axis."""
    padded = np.pad(response, 1, mode="edge")
    y, x = peaks[:, 0] + 1, peaks[:, 1] + 1
    here = padded[y, x]
    moved = peaks.astype(np.float64)
    for axis, (dy, dx) in enumerate(((1, 0), (0, 1))):
        before, after = padded[y - dy, x - dx], padded[y + dy, x + dx]
        curve = 2 * here - before - after
        shift = np.where(curve > 0, (after - before) / np.maximum(2 * curve, 1e-30), 0)
        moved[:, axis] += np.clip(shift, -0.5, 0.5)
    return moved


def _sorted(points: Points, score: Points, shape: tuple[int, ...]) -> Nuclei:
    inside = np.clip(points, 0, np.array(shape) - 1).astype(np.float32)
    order = np.lexsort((inside[:, 1], inside[:, 0]))
    y, x = inside[order].T
    return Nuclei(y_px=np.ascontiguousarray(y), x_px=np.ascontiguousarray(x), score=score[order].astype(np.float32))
