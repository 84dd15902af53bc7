"""``percentile_gaussian``: a percentile filter and a Gaussian over the mean image (Image2Omics, Methods).

The percentile of a window around each pixel takes a time independent of the window: counts of quantised pixels are kept
for each column of the window and added up as it moves (Perreault and Hebert 2007, Median filtering in constant time);
the answer of a pixel is sought from that of its neighbour.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from data_tools.illumination.base import ILLUMINATIONS, FloatImage, IlluminationConfig
from framework.compiled import compiled
from framework.errors import InputError

_FLOOR = 0.01
_NODES_PER_SIGMA = 6
_WIDE_SIGMA_PX = 12.0


class PercentileGaussianConfig(IlluminationConfig):
    """``illumination: {method: percentile_gaussian}``, the default.

    Attributes:
        percentile: percentile of the window; low ones see the background between cells.
        kernel_px: edge of the window.
        sigma_px: sigma of the Gaussian.
    """

    method: Literal["percentile_gaussian"] = "percentile_gaussian"
    percentile: float = Field(default=10, ge=0, le=100)
    kernel_px: int = Field(default=250, ge=1)
    sigma_px: float = Field(default=50, ge=0)


@ILLUMINATIONS.register("percentile_gaussian", PercentileGaussianConfig)
def percentile_gaussian(mean: FloatImage, options: PercentileGaussianConfig, channel: str) -> FloatImage:
    """Return ``fit_flatfield`` of the mean image (H, W): float32 (H, W), mean 1."""
    return fit_flatfield(
        mean,
        percentile=options.percentile,
        kernel_px=options.kernel_px,
        sigma_px=options.sigma_px,
        channel=channel,
    )


def fit_flatfield(
    mean: npt.NDArray[Any], *, percentile: float = 10, kernel_px: int = 250, sigma_px: float = 50, channel: str = ""
) -> FloatImage:
    """Return the illumination profile of a channel: a percentile filter and a Gaussian over the mean image.

    Args:
        mean: (H, W), mean of all images of the plate in this channel.
        percentile: 0..100; low ones see the background between cells.
        kernel_px: edge of the square window of the percentile filter; may exceed the image.
        sigma_px: standard deviation of the Gaussian; 0 for none.
        channel: for messages.

    Returns:
        float32 (H, W), mean 1, nowhere below 0.01.

    Raises:
        InputError: the mean image is all zero or negative, or so dark that the percentile is zero everywhere.

    Source: Image2Omics, Methods (shading correction); the profile is divided by its mean, which the paper leaves open.
    """
    low = percentile_filter(mean, percentile=percentile, size_px=kernel_px).astype(np.float64)
    field = _gaussian(low, sigma_px)
    level = float(field.mean())
    if not level > 0:
        share = f"its percentile {percentile:g} is {level:g}" if np.any(mean > 0) else "all its images are black"
        raise InputError(
            f"channel '{channel}': no flat-field can be fitted: {share}; check the channel, raise 'percentile' or "
            "switch the correction off"
        )
    field = np.maximum(field / level, _FLOOR)
    return np.asarray(field / field.mean(), dtype=np.float32)


def _gaussian(image: npt.NDArray[np.float64], sigma_px: float) -> npt.NDArray[np.float64]:
    """Return scipy's Gaussian (border ``reflect``, cut at 4 sigma); a wide one within 1e-5 of the image's range.

    A wide one is taken at nodes a sixth of sigma apart; between these cubic splines lose nothing that matters.
    """
    if sigma_px < _WIDE_SIGMA_PX:
        return np.asarray(ndimage.gaussian_filter(image, sigma_px, mode="reflect"))
    down = _wide_gaussian(image, sigma_px)
    return np.ascontiguousarray(_wide_gaussian(down.T, sigma_px).T)


def _wide_gaussian(image: npt.NDArray[np.float64], sigma_px: float) -> npt.NDArray[np.float64]:
    """Smooth along the first axis."""
    length, reach = len(image), int(4 * sigma_px + 0.5)
    nodes = np.unique(np.append(np.arange(0, length, int(sigma_px / _NODES_PER_SIGMA)), length - 1))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    at = (nodes[:, None] + offsets) % (2 * length)
    mirrored = np.where(at < length, at, 2 * length - 1 - at)
    weights = np.zeros((len(nodes), length))
    np.add.at(weights, (np.arange(len(nodes))[:, None], mirrored), kernel / kernel.sum())
    smooth = make_interp_spline(nodes, weights @ image, k=min(3, len(nodes) - 1))
    return np.asarray(smooth(np.arange(length)))


_COARSE, _FINE = 32, 320
"""Steps of a scan. An interval that a coarse scan leaves more than half of is at most 8/7 of what the answers span, for
each of its two ends is at most a coarse step from an answer. So a fine step is at most 8/7/320 = 1/280 of that span."""


def percentile_filter(image: npt.NDArray[Any], *, percentile: float, size_px: int) -> npt.NDArray[np.float32]:
    """Return the percentile of a square window around each pixel.

    A scan of 32 steps between darkest and brightest pixel bounds the answers, and is repeated inside these bounds while
    they close in; a last one of 320 steps places each answer to less than 1/256 of the range the answers span,
    however few of the image's values that range holds. Equal answers are exact. scipy's rank, window placement (an even
    window reaches one pixel further up and left) and border (``reflect``: mirrored with the edge pixel repeated) are
    kept.

    Args:
        image: (H, W).
        percentile: 0..100.
        size_px: edge of the window; may exceed the image.

    Returns:
        float32 (H, W): at most the exact answer of the image as float32, and less than 1/256 of the span of the exact
        answers below it.
    """
    rank = min(int(size_px * size_px * percentile / 100.0), size_px * size_px - 1)
    before, after = size_px // 2, size_px - 1 - size_px // 2
    padded = np.pad(image.astype(np.float32), (before, after), mode="symmetric")
    low, high = float(padded.min()), float(padded.max())
    reached = np.empty(image.shape, dtype=np.int32)
    is_closing_in = True
    while is_closing_in and high > low:
        width = high - low
        thresholds = _scanned(padded, low, high, _COARSE, rank, size_px, reached)
        low, high = float(thresholds[reached.min()]), float(thresholds[min(int(reached.max()) + 1, _COARSE)])
        is_closing_in = high - low <= width / 2
    if high <= low:
        return np.full(image.shape, low, dtype=np.float32)
    answers: npt.NDArray[np.float32] = _scanned(padded, low, high, _FINE, rank, size_px, reached)[reached]
    return answers


def _scanned(
    padded: npt.NDArray[np.float32],
    low: float,
    high: float,
    steps: int,
    rank: int,
    size: int,
    reached: npt.NDArray[np.int32],
) -> npt.NDArray[np.float32]:
    """Return ``steps + 1`` thresholds from ``low`` to ``high``; ``reached`` gets the last one below each answer."""
    thresholds = np.linspace(low, high, steps + 1, dtype=np.float32)
    _last_reached(_quantised(padded, thresholds), steps, rank, size, reached)
    return thresholds


@compiled
def _quantised(image: npt.NDArray[np.float32], thresholds: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Return for each pixel how many thresholds after the first it is not below."""
    steps = len(thresholds) - 1
    low, span = thresholds[0], thresholds[steps] - thresholds[0]
    scale = steps / span if span > 0 else 0.0
    codes = np.empty(image.shape, dtype=np.uint16)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = image[y, x]
            code = min(max(int((value - low) * scale), 0), steps)
            # The thresholds are rounded, so the guess may be one off.
            while code < steps and value >= thresholds[code + 1]:
                code += 1
            while code > 0 and value < thresholds[code]:
                code -= 1
            codes[y, x] = code
    return codes


@compiled
def _last_reached(codes: npt.NDArray[np.uint16], steps: int, rank: int, size: int, out: npt.NDArray[np.int32]) -> None:
    """Write for each pixel the last threshold that at most ``rank`` pixels of its window lie below.

    Args:
        codes: (H + size - 1, W + size - 1), the quantised image; ``steps`` itself is never counted.
        steps: number of the last threshold.
        rank: pixels of a window that may lie below.
        size: edge of the window.
        out: (H, W).
    """
    height, width = out.shape
    columns = np.zeros((codes.shape[1], steps), dtype=np.int32)
    window = np.zeros(steps, dtype=np.int32)
    for y in range(height + size - 1):
        for x in range(codes.shape[1]):
            if codes[y, x] < steps:
                columns[x, codes[y, x]] += 1
            if y >= size and codes[y - size, x] < steps:
                columns[x, codes[y - size, x]] -= 1
        if y < size - 1:
            continue
        window[:] = 0
        for x in range(size - 1):
            window += columns[x]
        reached = 0
        for x in range(width):
            come, gone = columns[x + size - 1], columns[max(x - 1, 0)]
            leaves = 1 if x else 0
            for step in range(steps):
                window[step] += come[step] - leaves * gone[step]
            below = 0
            for step in range(reached):
                below += window[step]
            while below > rank:
                reached -= 1
                below -= window[reached]
            while reached < steps and below + window[reached] <= rank:
                below += window[reached]
                reached += 1
            out[y - size + 1, x] = reached
