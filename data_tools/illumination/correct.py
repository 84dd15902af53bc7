"""Dividing an image by its flat-field."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from data_tools.illumination.mean import FloatImage
from framework.errors import InputError

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
