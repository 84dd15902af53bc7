"""What the methods share that look for nuclei of an expected size: the diameter, the threshold, the reduced image.

Flow: median 3x3 (hot pixels) -> threshold -> the response of the method -> local maxima -> centres. Everything is tied
to the expected diameter d of a nucleus.

Large nuclei are sought in a reduced image, which costs no accuracy that matters, and makes the time a field takes
depend little on the magnification. The Gaussian of a Laplacian keeps a sigma of 2 px of it, that of ``intensity_peaks``
1.5 px, so that a nucleus still spans 10 px: real fields of nuclei of 13 px, enlarged two and three times, gave the same
F1.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from data_tools.nuclei.base import FieldOfView, FloatImage, Nuclei, NucleiConfig, NucleusMethod, nuclei_at
from framework.errors import InputError

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


Points = npt.NDArray[np.float64]
MIN_DIAMETER_PX = 4.0


class SizedConfig(NucleiConfig):
    """Options of methods that know the size of a nucleus and a threshold."""

    diameter_um: float | None = Field(default=None, gt=0)
    """Expected diameter of a nucleus; needs a pixel size from the reader."""
    diameter_px: float | None = Field(default=None, ge=MIN_DIAMETER_PX)
    """Expected diameter of a nucleus in px; or ``diameter_um``."""
    method: str
    threshold: Literal["otsu"] | float = "otsu"
    """Intensity above which a pixel belongs to a nucleus, in stored units; ``otsu``: the Otsu threshold of each
    image."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Centres with a lower score are dropped."""

    @model_validator(mode="after")
    def _check_diameter(self) -> SizedConfig:
        if (self.diameter_um is None) == (self.diameter_px is None):
            raise ValueError("expected exactly one of 'diameter_um' and 'diameter_px', the expected size of a nucleus")
        return self

    def in_px(self, pixel_size_um: float | None) -> float:
        """Return the expected diameter in px.

        Raises:
            InputError: the diameter is in um and the pixel size unknown, or it is less than 4 px.
        """
        if self.diameter_px is not None:
            return self.diameter_px
        if pixel_size_um is None or self.diameter_um is None:
            raise InputError("'diameter_um' needs a pixel size, which the export does not state; give 'diameter_px'")
        diameter = self.diameter_um / pixel_size_um
        if diameter < MIN_DIAMETER_PX:
            raise InputError(
                f"a nucleus of {self.diameter_um:g} um is {diameter:.1f} px at {pixel_size_um:g} um a pixel; below "
                f"{MIN_DIAMETER_PX:g} px nuclei cannot be told apart; check 'diameter_um'"
            )
        return diameter


class SizedMethod(NucleusMethod):
    """A method that looks for nuclei of an expected size above a threshold.

    Attributes:
        least_sigma_px: what the Gaussian of the response keeps at least in the reduced image.
    """

    options: SizedConfig
    least_sigma_px: ClassVar[float]

    def check(self, pixel_size_um: float | None) -> None:
        """See ``NucleusMethod``."""
        self.options.in_px(pixel_size_um)

    @abstractmethod
    def sigma(self, diameter: float) -> float:
        """Return the standard deviation of the Gaussian of the response."""

    @abstractmethod
    def peaks(self, plain: FloatImage, levels: Levels, diameter: float) -> tuple[Points, Points]:
        """Return points (n, 2) and scores (n,) in the reduced image, for a diameter in its px."""

    def find(self, image: npt.NDArray[Any], field: FieldOfView) -> Nuclei:
        """See ``NucleusMethod``."""
        diameter = self.options.in_px(field.pixel_size_um)
        factor = max(1, int(self.sigma(diameter) / self.least_sigma_px))
        clean = cv2.medianBlur(image, 3)
        plain = reduced(clean, factor)
        # integers are quicker to count
        levels = find_levels(clean if factor == 1 else plain, self.options.threshold, diameter / factor)
        if levels is None:
            return nuclei_at(np.zeros((0, 2)), np.zeros(0), image.shape)
        points, score = self.peaks(plain, levels, diameter / factor)
        kept = score >= self.options.min_score
        return nuclei_at((points[kept] + 0.5) * factor - 0.5, score[kept], image.shape)


def reduced(image: npt.NDArray[Any], factor: int) -> FloatImage:
    """Average blocks of factor x factor px of (H, W); the last repeat the border where the size is not a multiple."""
    plain = image.astype(np.float32)
    if factor == 1:
        return plain
    height, width = (-size % factor for size in image.shape)
    padded = cv2.copyMakeBorder(plain, 0, height, 0, width, cv2.BORDER_REPLICATE) if height or width else plain
    size = (padded.shape[1] // factor, padded.shape[0] // factor)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
