"""Uneven illumination: the mean of a plate's images becomes a flat-field, and the flat-field corrects each image.

Flow: workers ``add`` images to a ``StreamingMean`` each and ``merge`` them; ``fit_flatfield`` turns the mean into a
profile; ``correct`` divides by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from data_tools.percentile import percentile_filter
from framework.errors import InputError

FloatImage = npt.NDArray[np.float32]
_FLOAT_STEPS = 1 << 20
_SHORT_IMAGES = 65_537  # of 16 bits, the most whose sum 32 bits hold: 65,537 x 65,535 = 2^32 - 1
_FLOOR = 0.01
_DEPTHS = {"uint8": cv2.CV_8U, "uint16": cv2.CV_16U, "float32": cv2.CV_32F}
_NODES_A_SIGMA = 6
_WIDE_SIGMA_PX = 12.0


@dataclass(kw_only=True)
class StreamingMean:
    """Mean of many images of one size in constant memory, the same to the last bit in any order of adding and merging.

    Integer sums make it so. Float images are rounded to multiples of 2^-20 first, which is below the step of any camera
    scaled to 0..1, and must stay within +-2^20.

    Attributes:
        total: (H, W), sum of the images (of float images times 2^20), uint32 as long as it surely fits, else int64;
            None before the first.
        count: images added.
        is_float: whether the images are float32.
    """

    total: npt.NDArray[Any] | None = None
    count: int = 0
    is_float: bool = False

    def add(self, image: npt.NDArray[Any]) -> None:
        """Add one image, (H, W) of uint8, uint16 or float32.

        Raises:
            InputError: another shape or kind of pixels than before, or floats that are not finite or beyond +-2^20.
        """
        is_float = image.dtype.kind == "f"
        self._check(image.shape, is_float)
        values: npt.NDArray[Any] = image
        if is_float:
            if not np.all(np.abs(image) <= _FLOAT_STEPS):
                raise InputError(f"a float image has pixels beyond +-{_FLOAT_STEPS} or not finite; scale it to 0..1")
            values = np.rint(image.astype(np.float64) * _FLOAT_STEPS).astype(np.int64)
        if self.total is None:
            self.total = np.zeros(image.shape, dtype=np.int64 if is_float else np.uint32)
            self.is_float = is_float
        if self.count == _SHORT_IMAGES:
            self.total = self.total.astype(np.int64)
        self.total += values
        self.count += 1

    def merge(self, other: StreamingMean) -> None:
        """Add all that ``other`` has seen.

        Raises:
            InputError: it saw images of another shape or kind.
        """
        if other.total is None:
            return
        self._check(other.total.shape, other.is_float)
        self.is_float = other.is_float
        self.count += other.count
        fits = not self.is_float and self.count <= _SHORT_IMAGES
        dtype = np.uint32 if fits else np.int64
        self.total = other.total.astype(dtype) if self.total is None else np.add(self.total, other.total, dtype=dtype)

    def mean(self) -> FloatImage:
        """Return the mean, float32 (H, W), in the unit of the images.

        Raises:
            InputError: no image was added.
        """
        if self.total is None:
            raise InputError("the mean of no images: no readable image of this channel")
        return (self.total / (self.count * (_FLOAT_STEPS if self.is_float else 1))).astype(np.float32)

    def _check(self, shape: tuple[int, ...], is_float: bool) -> None:
        if self.total is None:
            return
        if shape != self.total.shape:
            raise InputError(f"an image of shape {shape} among images of shape {self.total.shape}; one plate, one size")
        if is_float != self.is_float:
            raise InputError("integer and float images in one channel; export the plate with one pixel type")


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


def correct(
    image: npt.NDArray[Any],
    flatfield: FloatImage,
    dtype: npt.DTypeLike = np.uint16,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Divide an image by its flat-field.

    Args:
        image: (H, W), any unit.
        flatfield: float32 (H, W), mean 1.
        dtype: of the result, uint8, uint16 or float32; integers are rounded to nearest even and clipped to their range.
        out: (H, W) of ``dtype`` to write to, contiguous; None for a new one.

    Returns:
        (H, W) of ``dtype``, ``out`` where it is given.

    Raises:
        InputError: the shapes differ.
    """
    if image.shape != flatfield.shape:
        raise InputError(f"an image of shape {image.shape} and a flat-field of shape {flatfield.shape}; fit it anew")
    divided = np.asarray(cv2.divide(image, flatfield, dst=out, dtype=_DEPTHS[np.dtype(dtype).name]))
    if out is not None and divided.ctypes.data != out.ctypes.data:
        raise InputError(
            f"out: expected a contiguous {image.shape} of {np.dtype(dtype)}, found {out.shape} {out.dtype}"
        )
    return divided


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
    nodes = np.unique(np.append(np.arange(0, length, int(sigma_px / _NODES_A_SIGMA)), length - 1))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    at = (nodes[:, None] + offsets) % (2 * length)
    mirrored = np.where(at < length, at, 2 * length - 1 - at)
    weights = np.zeros((len(nodes), length))
    np.add.at(weights, (np.arange(len(nodes))[:, None], mirrored), kernel / kernel.sum())
    smooth = make_interp_spline(nodes, weights @ image, k=min(3, len(nodes) - 1))
    return np.asarray(smooth(np.arange(length)))
