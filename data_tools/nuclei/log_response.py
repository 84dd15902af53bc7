"""The response of two methods: a Laplacian of Gaussian with sigma d / (2 sqrt 2), which answers most to a disc of d."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from data_tools.nuclei.base import FloatImage, maxima
from data_tools.nuclei.sized import Levels, Points, SizedConfig, SizedMethod, reduced

_WORK_SIGMA_PX = 2.0


class LogConfig(SizedConfig):
    """Options of the methods with a Laplacian of Gaussian."""

    min_area: float | None = Field(default=None, ge=0, lt=1)
    """Of no meaning here. The key stays, always null, because datasets keep the options that they were made with."""

    @model_validator(mode="after")
    def _measures_no_area(self) -> LogConfig:
        if self.min_area is not None:
            raise ValueError(f"'min_area' has no effect for '{self.method}', which measures no areas; leave it out")
        return self


class LogMethod(SizedMethod):
    """Maxima of the response.

    Attributes:
        binary: whether the thresholded image answers, else the intensities inside the threshold.
    """

    least_sigma_px = _WORK_SIGMA_PX
    binary: ClassVar[bool]

    def sigma(self, diameter: float) -> float:
        """See ``SizedMethod``: reduced once here, and wide ones a second time in the response."""
        return float(diameter / np.sqrt(8) / 2)

    def peaks(self, plain: FloatImage, levels: Levels, diameter: float) -> tuple[Points, Points]:
        """See ``SizedMethod``."""
        mask = plain > levels.threshold
        rise = np.float32(1) if self.binary else plain - np.float32(levels.background)
        response = _smooth_response(np.where(mask, rise, np.float32(0)).astype(np.float32), diameter / np.sqrt(8))
        peaks = maxima(response, mask & (response > 0), 1)
        height = response[peaks[:, 0], peaks[:, 1]].astype(np.float64)
        score = np.clip(height, 0, 1) if self.binary else height / (height + levels.threshold - levels.background)
        return _between_pixels(response, peaks), score


def _smooth_response(image: FloatImage, sigma: float) -> FloatImage:
    """Return minus sigma^2 times the Laplacian of Gaussian; of a wide one, filtered at half resolution.

    There sigma still spans 2 px, so cubic interpolation gives the full resolution back; averaging 2 x 2 px has already
    blurred by a variance of 1/4.
    """
    if sigma < 2 * _WORK_SIGMA_PX:
        return _negative_log(image, sigma)
    half = _negative_log(reduced(image, 2), np.sqrt(sigma**2 - 0.25) / 2)
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
