"""Interpretable features of single cells: shape of the object in the middle of a crop, intensity in it, texture.

What a person can name and measure by hand, so that learned features can be read by what they correlate with, as in
Image2Omics, Figure 13. Shapes are those of scikit-image's ``regionprops``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from framework.features.classic import HARALICK, Floats, grey_levels, haralick

SHAPES = (
    "area",
    "perimeter",
    "axis_major_length",
    "axis_minor_length",
    "eccentricity",
    "solidity",
    "extent",
    "euler_number",
)
"""Of the object, in pixels; the names are scikit-image's."""
FURTHER_SHAPES = ("form_factor", "objects", "foreground_share")
"""4 pi area / perimeter squared, which is about 1 for a disc; objects in the crop; share of the crop above the
threshold."""
INTENSITIES = ("mean", "sd", "min", "max", "sum", "displacement_px", "outside_mean", "outside_sd")
"""Of a channel in the object; how far its centre of mass lies from the object's; of the channel outside the object."""
LEVELS = 32
"""Grey levels of textures: a crop of 128 x 128 px has enough pairs to fill them."""


def region_names(outline: str, channels: Sequence[str], scales_px: Sequence[int]) -> list[str]:
    """Return the names of what ``regions`` measures."""
    names = [f"{outline}_{name}" for name in (*SHAPES, *FURTHER_SHAPES)]
    for channel in channels:
        names += [f"{channel}_{name}" for name in INTENSITIES]
        names += [f"{channel}_{name}_{scale}px" for scale in scales_px for name in HARALICK]
    return names


def regions(outline: npt.ArrayLike, channels: npt.ArrayLike, *, scales_px: Sequence[int]) -> Floats:
    """Return interpretable features of crops.

    The object is what stands above Otsu's threshold of the crop (Otsu 1979) and lies nearest the middle, pixels that
    touch at corners included. A crop without one, which is a constant crop, has 0 in place of everything that needs it.

    Args:
        outline: (n, H, W), the channel that shows the object, such as the nucleus.
        channels: (n, C, H, W), measured in the object and outside it.
        scales_px: distances of the pixel pairs of the textures, each less than H and W.

    Returns:
        (n, 11 + C (8 + 13 scales)), as ``region_names`` orders them.
    """
    planes, measured = np.asarray(outline, dtype=np.float64), np.asarray(channels, dtype=np.float64)
    objects = [_object(plane) for plane in planes]
    parts = [np.array([_shape(*found) for found in objects]).reshape(len(planes), -1)]
    for channel in range(measured.shape[1]):
        rows = [_intensity(mask, plane) for (mask, _, _), plane in zip(objects, measured[:, channel], strict=True)]
        parts.append(np.array(rows).reshape(len(planes), -1))
        grey = grey_levels(measured[:, channel], LEVELS)
        parts += [haralick(grey, scale, LEVELS) for scale in scales_px]
    return np.concatenate(parts, axis=1)


def _object(plane: Floats) -> tuple[npt.NDArray[np.bool_], int, float]:
    """Return the mask of the object in the middle, the number of objects, and the share of the crop above the
    threshold."""
    if plane.min() == plane.max():
        return np.zeros(plane.shape, dtype=np.bool_), 0, 0.0
    above = plane > threshold_otsu(plane)  # type: ignore[no-untyped-call]
    labels, count = label(above, connectivity=2, return_num=True)  # type: ignore[no-untyped-call]
    rows, columns = np.nonzero(above)
    middle = (np.array(plane.shape) - 1) / 2
    nearest = np.argmin((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)
    return labels == labels[rows[nearest], columns[nearest]], int(count), float(above.mean())


def _shape(mask: npt.NDArray[np.bool_], count: int, share: float) -> list[float]:
    if not count:
        return [0.0] * (len(SHAPES) + len(FURTHER_SHAPES))
    found: Any = regionprops(mask.astype(np.uint8))[0]  # type: ignore[no-untyped-call]
    around = float(found.perimeter)
    form = 4 * np.pi * float(found.area) / around**2 if around > 0 else 0.0
    return [*(float(found[name]) for name in SHAPES), form, float(count), share]


def _intensity(mask: npt.NDArray[np.bool_], plane: Floats) -> list[float]:
    inside, outside = plane[mask], plane[~mask]
    around = [float(outside.mean()), float(outside.std())] if outside.size else [0.0, 0.0]
    if not inside.size:
        return [0.0] * (len(INTENSITIES) - 2) + around
    places = np.argwhere(mask).astype(np.float64)
    weights = inside - inside.min()
    moved = 0.0
    if weights.sum() > 0:
        moved = float(np.linalg.norm(weights @ places / weights.sum() - places.mean(axis=0)))
    values = [inside.mean(), inside.std(), inside.min(), inside.max(), inside.sum(), moved]
    return [*map(float, values), *around]
