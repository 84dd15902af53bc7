"""How the planes of a stack become one image, with two planes in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

Projection = Literal["max", "mean", "sharpest"]
"""The brightest value of each pixel, the mean of all, or the one plane with the most fine detail."""
Pixels = npt.NDArray[Any]


def project(planes: Iterable[Pixels], how: Projection) -> Pixels:
    """Make one image of planes of one shape and type.

    Args:
        planes: (H, W) each, uint8, uint16 or float32; at least one.
        how: see ``Projection``.

    Returns:
        (H, W) in the type of the planes; halves of integers are rounded up.
    """
    if how == "mean":
        return _mean(planes)
    if how == "sharpest":
        return sharpest(planes)[0]
    best: Pixels | None = None
    for plane in planes:
        if best is None:
            best = plane.copy()
        else:
            np.maximum(best, plane, out=best)
    if best is None:
        raise ValueError("no plane to project")
    return best


def sharpest(planes: Iterable[Pixels]) -> tuple[Pixels, int]:
    """Return the plane with the most fine detail, and its place among the planes, counted from 0.

    Of equals the first is kept, so the result depends on nothing but the pixels and their order.
    """
    best: tuple[Pixels, int] | None = None
    most = -1.0
    for place, plane in enumerate(planes):
        found = sharpness(plane)
        if best is None or found > most:
            best, most = (plane, place), found
    if best is None:
        raise ValueError("no plane to project")
    return best


def sharpness(plane: Pixels) -> float:
    """Return the variance of the Laplacian of an image (H, W), smoothed a little so that noise counts less."""
    smooth = cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 1.0)
    return float(cv2.Laplacian(smooth, cv2.CV_32F).var(dtype=np.float64))


def _mean(planes: Iterable[Pixels]) -> Pixels:
    total: Pixels | None = None
    dtype, n = np.dtype(np.uint8), 0
    for plane in planes:
        if total is None:
            dtype = plane.dtype
            total = np.zeros(plane.shape, np.float64 if dtype.kind == "f" else np.uint32)
        total += plane
        n += 1
    if total is None:
        raise ValueError("no plane to project")
    return (total / n if dtype.kind == "f" else (2 * total + n) // (2 * n)).astype(dtype)
