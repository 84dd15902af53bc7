"""What an illumination method is: from the mean image of a channel to the flat-field that images are divided by.

A new method is its options and one function in one file::

    class MineConfig(IlluminationConfig):
        method: Literal["mine"] = "mine"

    @ILLUMINATIONS.register("mine", MineConfig)
    def mine(mean, options, channel): ...      # -> float32 (H, W), mean 1

Beside it stands what is done with whole images: their mean over a plate, and dividing one by its flat-field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from framework.config import StrictModel
from framework.errors import InputError
from framework.registry import Registry

FloatImage = npt.NDArray[np.float32]
_FLOAT_STEPS = 1 << 20
_SHORT_IMAGES = 65_537  # of 16 bits, the most whose sum 32 bits hold: 65,537 x 65,535 = 2^32 - 1


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
            raise InputError("no image of this channel can be read, so there is no mean image")
        return (self.total / (self.count * (_FLOAT_STEPS if self.is_float else 1))).astype(np.float32)

    def _check(self, shape: tuple[int, ...], is_float: bool) -> None:
        if self.total is None:
            return
        if shape != self.total.shape:
            raise InputError(
                f"an image of shape {shape} among images of shape {self.total.shape}; all images of a plate must "
                "have one size"
            )
        if is_float != self.is_float:
            raise InputError("integer and float images in one channel; export the plate with one pixel type")


_DEPTHS = {"uint8": cv2.CV_8U, "uint16": cv2.CV_16U, "float32": cv2.CV_32F}


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
        dtype: dtype of the result, uint8, uint16 or float32; integers are rounded to nearest even and clipped to their
            range.
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


class IlluminationConfig(StrictModel):
    """The section ``illumination``: what every method has.

    Attributes:
        method: its name.
        max_images: how many sites of a plate the mean image is made of, drawn by seed. Null: all, as in the paper; all
            images are then read twice. The error of a sample falls with the square root of its size: 256 of 720
            simulated fields gave flat-fields that differ by 1.3 to 2.2 % (rms) from those of all.
    """

    corrects: ClassVar[bool] = True
    """Whether images are divided by anything; False: no mean is taken, and nothing is kept."""
    of_export: ClassVar[bool] = False
    """Whether the first argument of its function is the flat-field that the export holds, not a mean of images."""
    method: str
    max_images: int | None = Field(default=None, ge=1)

    @model_serializer(mode="wrap")
    def _own_options_before_those_of_all(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return {**{key: value for key, value in plain.items() if key != "max_images"}, "max_images": self.max_images}


FitFlatfield = Callable[[FloatImage, Any, str], FloatImage]
"""``fit(mean, options, channel)``: ``mean`` is float32 (H, W) in stored units and is not changed, ``channel`` is for
messages; returns float32 (H, W), finite, above 0, with mean 1. Raises InputError where none can be fitted."""

ILLUMINATIONS: Registry[FitFlatfield] = Registry("illumination method", options=IlluminationConfig)
"""Illumination methods by the name a config writes after ``illumination.method``."""
