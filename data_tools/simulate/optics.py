"""From light to camera counts: blur, uneven illumination, plate staining, background, debris, noise, defect pixels.

Illumination is a polynomial in Harmony's own convention, so the index file of the export carries it exactly as an
instrument's would: the sum over n, i of ``coefficients[n][i] * x**(n - i) * y**i``, where x and y are the pixel minus
the origin, times the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from data_tools.simulate.biology import F32, F64
from data_tools.simulate.plate_config import CHANNELS, PlateConfig
from data_tools.simulate.streams import Stream, generator

CAMERA_OFFSET = 100.0
"""Counts of a closed shutter; illumination does not scale them."""

_BACKGROUND = (110.0, 130.0, 120.0)
_GAIN_COUNTS_PER_ELECTRON = 1.4
_READ_NOISE_COUNTS = 6.0
_PSF_SIGMA_PX = 0.9
_DEFOCUS_SIGMA_PX = 7.0
_SATURATION = 65535
_BRIGHTEST_CELL = 50_000.0


@dataclass(frozen=True, kw_only=True)
class PlateOptics:
    """What all images of one plate share.

    Attributes:
        coefficients: per channel the polynomial of the illumination, degrees 0 to 4.
        illumination: float32 (3, H, W), mean 1: relative light at each pixel.
        gain: float32 (3,), staining and exposure of this plate relative to the mean plate.
        background: float32 (3,), light without cells, counts.
        hot_yx: per channel int64 (n, 2), defect pixels of the camera.
        hot_counts: per channel float32 (n,), what they read.
    """

    coefficients: tuple[tuple[tuple[float, ...], ...], ...]
    illumination: F32
    gain: F32
    background: F32
    hot_yx: tuple[npt.NDArray[np.int64], ...]
    hot_counts: tuple[F32, ...]

    @classmethod
    def draw(cls, config: PlateConfig, plate: int) -> PlateOptics:
        """Draw the optics of imaging plate number ``plate`` (from 0)."""
        rng = generator(config.seed, Stream.OPTICS, plate)
        fitted = [_fall_off(config.size_px, config.illumination_strength, rng) for _ in CHANNELS]
        scale = config.batch_strength
        hot_yx = tuple(rng.integers(0, config.size_px, (config.hot_pixels, 2)) for _ in CHANNELS)
        return cls(
            coefficients=tuple(terms for terms, _ in fitted),
            illumination=np.stack([field for _, field in fitted]),
            gain=np.exp(0.12 * scale * rng.standard_normal(len(CHANNELS))).astype(np.float32),
            background=(np.array(_BACKGROUND) * np.exp(0.1 * scale * rng.standard_normal(len(CHANNELS)))).astype(
                np.float32
            ),
            hot_yx=hot_yx,
            hot_counts=tuple(rng.uniform(12_000, 90_000, len(yx)).astype(np.float32) for yx in hot_yx),
        )


def photograph(
    light: F32, optics: PlateOptics, out_of_focus: bool, debris_per_site: float, rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Return camera images, uint16 (3, H, W), of ``light`` (3, H, W) in counts; ``light`` is used up.

    Only defect pixels reach saturation.
    """
    _add_debris(light, debris_per_site, rng)
    images = np.empty(light.shape, dtype=np.uint16)
    sigma = _DEFOCUS_SIGMA_PX if out_of_focus else _PSF_SIGMA_PX
    for channel in range(len(light)):
        blurred = cv2.GaussianBlur(light[channel], (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        expected = (optics.gain[channel] * blurred + optics.background[channel]) * optics.illumination[channel]
        variance = expected * np.float32(_GAIN_COUNTS_PER_ELECTRON) + np.float32(_READ_NOISE_COUNTS**2)
        counts = expected + np.sqrt(variance) * rng.standard_normal(expected.shape, dtype=np.float32)
        counts = np.clip(counts + np.float32(CAMERA_OFFSET), 0, _BRIGHTEST_CELL)
        _add_hot_pixels(counts, optics, channel, rng)
        images[channel] = np.rint(counts)
    return images


def illumination_from(coefficients: tuple[tuple[float, ...], ...], size_px: int) -> F64:
    """Return the polynomial's value at every pixel, float64 (size_px, size_px)."""
    axis = (np.arange(size_px) - (size_px - 1) / 2) / size_px
    y, x = axis[:, None], axis[None, :]
    field = np.zeros((size_px, size_px))
    for degree, terms in enumerate(coefficients):
        for i, value in enumerate(terms):
            field += value * x ** (degree - i) * y**i
    return field


def _fall_off(size_px: int, strength: float, rng: np.random.Generator) -> tuple[tuple[tuple[float, ...], ...], F32]:
    """Draw light that is brightest near the middle and loses up to ``strength`` of it in the darkest corner."""
    cx, cy = rng.uniform(-0.12, 0.12, 2)
    bend = float(rng.uniform(0.2, 0.5))
    # 1 - r^2 - bend * r^4 around (cx, cy); the corners of the field are at r^2 = 0.5 when it is centred.
    square = {(2, 0): 1.0, (1, 0): -2 * cx, (0, 2): 1.0, (0, 1): -2 * cy, (0, 0): cx**2 + cy**2}
    shape: dict[tuple[int, int], float] = {(0, 0): 0.0}
    for (a, b), value in square.items():
        shape[a, b] = shape.get((a, b), 0.0) + float(value)
        for (c, d), other in square.items():
            shape[a + c, b + d] = shape.get((a + c, b + d), 0.0) + bend * float(value * other)
    loss = _as_terms(shape)
    field = illumination_from(loss, size_px)
    depth = strength / field.max()
    norm = 1 - depth * field.mean()
    terms = tuple(tuple(-depth * value / norm for value in row) for row in loss)
    terms = (((1 / norm + terms[0][0]),), *terms[1:])
    rounded = tuple(tuple(round(value, 8) for value in row) for row in terms)
    return rounded, illumination_from(rounded, size_px).astype(np.float32)


def _as_terms(powers: dict[tuple[int, int], float]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(powers.get((n - i, i), 0.0) for i in range(n + 1)) for n in range(5))


def _add_debris(light: F32, per_site: float, rng: np.random.Generator) -> None:
    """Lay bright specks and fibres over all channels: dust glows everywhere."""
    size = light.shape[1]
    for _ in range(int(rng.poisson(per_site))):
        mask = np.zeros((size, size), dtype=np.float32)
        centre = rng.uniform(0, size, 2)
        if rng.random() < 0.3:
            steps = np.cumsum(rng.normal(rng.normal(0, 3, 2), 2.0, (14, 2)), axis=0)
            points = np.rint(centre + steps).astype(np.int32).reshape(-1, 1, 2)
            cv2.polylines(mask, [points], isClosed=False, color=1.0, thickness=2)
        else:
            angle = np.linspace(0, 2 * np.pi, 9)[:-1]
            reach = rng.uniform(2, 7) * rng.uniform(0.6, 1.4, len(angle))
            rim = centre + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            cv2.fillPoly(mask, [np.rint(rim).astype(np.int32).reshape(-1, 1, 2)], color=1.0)
        soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.8, 2.5)))
        light += soft * rng.uniform(1500, 9000, (len(light), 1, 1)).astype(np.float32)


def _add_hot_pixels(counts: F32, optics: PlateOptics, channel: int, rng: np.random.Generator) -> None:
    """Defect pixels stay where they are on the camera and fire in most images."""
    y, x = optics.hot_yx[channel].T
    fires = rng.random(len(y)) < 0.8
    counts[y[fires], x[fires]] = np.minimum(optics.hot_counts[channel][fires], _SATURATION)
