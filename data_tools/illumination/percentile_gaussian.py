"""``percentile_gaussian``: a percentile filter and a Gaussian over the mean image (Image2Omics, Methods)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from data_tools.illumination.base import ILLUMINATIONS, IlluminationConfig
from data_tools.illumination.mean import FloatImage
from data_tools.percentile import percentile_filter
from framework.errors import InputError

_FLOOR = 0.01
_NODES_PER_SIGMA = 6
_WIDE_SIGMA_PX = 12.0


class PercentileGaussianConfig(IlluminationConfig):
    """``illumination: {method: percentile_gaussian}``, the default.

    Attributes:
        percentile: of the window; low ones see the background between cells.
        kernel_px: edge of the window.
        sigma_px: of the Gaussian.
    """

    method: Literal["percentile_gaussian"] = "percentile_gaussian"
    percentile: float = Field(default=10, ge=0, le=100)
    kernel_px: int = Field(default=250, ge=1)
    sigma_px: float = Field(default=50, ge=0)


@ILLUMINATIONS.register("percentile_gaussian", PercentileGaussianConfig)
def percentile_gaussian(mean: FloatImage, options: PercentileGaussianConfig, channel: str) -> FloatImage:
    """Return ``fit_flatfield`` of the mean image."""
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
