"""What the cytometer sees of one cell: brightfield, one stain per marker, darkfield; and the features it measures.

Brightfield images show the cell's looks (size, grain, nucleus, rim) and nothing else of it, so they tell of markers as
much as ``informative`` lets the looks do. Features are measured on the images, as the instrument's software does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_tools.simulate.biology import F32, F64

_TOP = 4095
_BRIGHT, _DARK, _STAIN = 820.0, 25.0, 30.0
"""Background of brightfield, darkfield and stains, in counts."""
_READ_NOISE, _BRIGHT_NOISE = 3.0, 9.0
STAIN_LOW, STAIN_RANGE = 3.2, 1.8
"""log10 of the whole stain of a cell in counts: at level 0, and what level 1 adds."""


@dataclass(frozen=True, kw_only=True)
class CellView:
    """One imaged cell.

    Attributes:
        images: uint16 (C, h, w): brightfield, one stain per marker, darkfield; 12 bits.
        area_px: pixels of the true mask.
        aspect: short over long axis, 0..1.
        intensity: float64 (C,), sum over the mask of what exceeds the background around it.
    """

    images: npt.NDArray[np.uint16]
    area_px: int
    aspect: float
    intensity: F64


def photograph_cell(
    looks: F64, levels: F64, radius_px: float, stain_noise: float, rng: np.random.Generator
) -> CellView:
    """Draw one cell.

    Args:
        looks: (4,), in ``LOOKS`` order.
        levels: (M,) of the markers.
        radius_px: mean radius over all cells.
        stain_noise: standard deviation of ln(stain) around what the level says.
        rng: generator of this cell.
    """
    size, grain, nucleus, rim = looks.tolist()
    radius = radius_px * np.exp(0.12 * size)
    aspect = float(rng.uniform(1.0, 1.25))
    distance, dy, dx = _distance(radius, aspect, rng)
    inside = distance <= 1
    granules = _spots(dy, dx, radius, int(rng.poisson(14 * np.exp(0.45 * grain))), rng)
    bright = _BRIGHT - 110 * np.exp(0.25 * rim) * np.exp(-(((distance - 1) / 0.13) ** 2))
    bright += 60 * np.exp(-(((distance - 1.25) / 0.16) ** 2)) - 40 * inside - 75 * granules
    core = np.hypot(dy - 0.15 * radius, dx) / (0.5 * radius * np.exp(0.15 * nucleus))
    bright -= 70 / (1 + np.exp(np.clip(12 * (core - 1), -30, 30)))
    membrane = np.exp(-(((distance - 0.9) / 0.16) ** 2)) + 0.25 * inside
    light = [bright + _BRIGHT_NOISE * rng.standard_normal(bright.shape)]
    for level in levels.tolist():
        total = 10 ** (STAIN_LOW + STAIN_RANGE * level) * np.exp(stain_noise * rng.standard_normal())
        light.append(_shot(_STAIN + total / membrane.sum() * membrane, rng))
    light.append(_shot(_DARK + 90 * granules * np.exp(0.2 * rng.standard_normal()), rng))
    images = np.clip(np.rint(np.stack(light)), 0, _TOP).astype(np.uint16)
    outside = images[:, distance > 1.4]
    background = np.median(outside, axis=1) if outside.size else np.array([_BRIGHT, *[_STAIN] * len(levels), _DARK])
    return CellView(
        images=images,
        area_px=int(inside.sum()),
        aspect=1 / aspect,
        intensity=images[:, inside].sum(axis=1) - background * inside.sum(),
    )


def _distance(radius: float, aspect: float, rng: np.random.Generator) -> tuple[F32, F32, F32]:
    """Return distance from the centre in radii, and the offsets in px, on a canvas with a margin of its own."""
    long = radius * np.sqrt(aspect)
    height, width = (int(2 * long + edge) for edge in rng.integers(8, 17, size=2))
    y, x = (np.arange(edge, dtype=np.float32) - np.float32((edge - 1) / 2) for edge in (height, width))
    dy = np.broadcast_to((y - np.float32(rng.uniform(-1, 1)))[:, None], (height, width))
    dx = np.broadcast_to((x - np.float32(rng.uniform(-1, 1)))[None, :], (height, width))
    angle = rng.uniform(0, np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    distance: F32 = np.hypot(along / np.float32(long), across / np.float32(radius / np.sqrt(aspect)))
    return distance, dy, dx


def _spots(dy: F32, dx: F32, radius: float, n: int, rng: np.random.Generator) -> F64:
    """Return the light of ``n`` granules of about one pixel, spread evenly over the cell."""
    turn, reach = rng.uniform(0, 2 * np.pi, n), 0.85 * radius * np.sqrt(rng.random(n))
    strength = rng.uniform(0.5, 1.5, n)
    rows = np.exp(-((dy[:, 0][None] - (reach * np.sin(turn))[:, None]) ** 2) / 1.6)
    columns = np.exp(-((dx[0][None] - (reach * np.cos(turn))[:, None]) ** 2) / 1.6)
    spots: F64 = (rows * strength[:, None]).T @ columns
    return spots


def _shot(expected: npt.NDArray[np.floating], rng: np.random.Generator) -> F64:
    counts: F64 = expected + np.sqrt(expected + _READ_NOISE**2) * rng.standard_normal(expected.shape)
    return counts
