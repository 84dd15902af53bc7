"""From a crop of any size to a tile: fitted about its centre, then scaled by the rules of its channels.

Tiles of one dataset have one shape, crops of an imaging flow cytometer have as many as there are cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from data_tools.tiles import TilesConfig
from framework.config import StrictModel

Fit = Literal["exact", "pad", "crop", "pad_or_crop", "resize"]
Fill = Literal["zero", "edge", "border"]


class CellTilesConfig(TilesConfig):
    """Size and stored type of the tiles, and what becomes of crops of another size.

    Attributes:
        fit: ``exact`` refuses other sizes; ``pad`` accepts smaller crops, ``crop`` larger ones, ``pad_or_crop`` both,
            all about the centre; ``resize`` scales the longer edge to the tile and pads the shorter one.
        fill: padded pixels are 0, the nearest pixel of the crop (``edge``), or the median of the crop's outermost
            pixels, channel by channel (``border``).
    """

    fit: Fit = "exact"
    fill: Fill = "zero"


class IntensityConfig(StrictModel):
    """What is done to one channel of each tile, in this order.

    Attributes:
        divide_by: first, divide pixels by this, such as 255 for 8-bit images.
        min_max: then scale so that the lowest pixel is 0 and the highest 1; a flat tile becomes 0 (Lu 2019, Methods).
        floor: then clip((x - floor) / (1 - floor)) to 0..1, which hides a dim background (Lu 2019: 0.05).
    """

    divide_by: float | None = Field(default=None, gt=0)
    min_max: bool = False
    floor: float | None = Field(default=None, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> IntensityConfig:
        if not self.min_max and self.floor is None and self.divide_by is None:
            raise ValueError("expected 'divide_by', 'min_max: true' or a 'floor', found none; leave the channel out")
        return self


def fitting_problem(shape: tuple[int, int], config: CellTilesConfig) -> str | None:
    """Return why a crop of ``shape`` (h, w) cannot become a tile, and what to change; None if it can."""
    size = config.size_px
    small, large = min(shape) < size, max(shape) > size
    found = f"a crop of {shape[0]} x {shape[1]} px, tiles have {size} x {size} px"
    if config.fit == "exact" and (small or large):
        return f"{found}; set 'tiles.fit' to pad, crop, pad_or_crop or resize, or 'tiles.size_px'"
    if config.fit == "pad" and large:
        return f"{found}; set 'tiles.fit: pad_or_crop' or resize, or raise 'tiles.size_px'"
    if config.fit == "crop" and small:
        return f"{found}; set 'tiles.fit: pad_or_crop' or resize, or lower 'tiles.size_px'"
    return None


def fit_crop(images: Sequence[npt.NDArray[Any]], config: CellTilesConfig) -> npt.NDArray[Any]:
    """Return a crop as a tile.

    Args:
        images: (h, w) a channel, all of one shape, for which ``fitting_problem`` returns None.
        config: size, type and rules; pixels must be representable in ``config.dtype``.

    Returns:
        (C, size_px, size_px) of ``config.dtype``.
    """
    size, dtype = config.size_px, np.dtype(config.dtype)
    tile = np.zeros((len(images), size, size), dtype=dtype)
    for plane, image in zip(tile, images, strict=True):
        _place(_resized(image, size, dtype) if config.fit == "resize" else image, plane, config.fill)
    return tile


def scale_tile(tile: npt.NDArray[Any], channels: Sequence[str], rules: Mapping[str, IntensityConfig]) -> None:
    """Apply the rules of each channel to a float32 tile (C, H, W), in place."""
    for channel, rule in rules.items():
        plane = tile[channels.index(channel)]
        if rule.divide_by is not None:
            plane /= np.float32(rule.divide_by)
        if rule.min_max:
            low, high = plane.min(), plane.max()
            plane -= low
            if high > low:
                plane /= high - low
        if rule.floor is not None:
            plane -= rule.floor
            plane /= np.float32(1 - rule.floor)
            np.clip(plane, 0, 1, out=plane)


def _resized(image: npt.NDArray[Any], size: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the image with its longer edge scaled to ``size``; areas are averaged where it shrinks."""
    height, width = image.shape
    scale = size / max(height, width)
    if scale == 1:
        return image
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small: npt.NDArray[Any] = cv2.resize(image.astype(np.float32), shape, interpolation=how)
    return np.rint(small) if dtype.kind == "u" else small


def _place(image: npt.NDArray[Any], plane: npt.NDArray[Any], fill: Fill) -> None:
    """Put an image into the middle of a plane; an odd pixel more lies below and to the right."""
    rows, columns = (_overlap(have, want) for have, want in zip(image.shape, plane.shape, strict=True))
    (top, first, height), (left, start, width) = rows, columns
    part = image[first : first + height, start : start + width]
    if part.shape == plane.shape or fill == "zero":
        plane[top : top + height, left : left + width] = part
        return
    around = ((top, plane.shape[0] - top - height), (left, plane.shape[1] - left - width))
    if fill == "edge":
        plane[...] = np.pad(part, around, mode="edge")
        return
    outermost = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
    plane[...] = np.median(outermost)
    plane[top : top + height, left : left + width] = part


def _overlap(have: int, want: int) -> tuple[int, int, int]:
    """Return (first in the plane, first in the image, length) of what an edge of ``have`` px shows in ``want`` px."""
    return max(0, (want - have) // 2), max(0, (have - want) // 2), min(have, want)
