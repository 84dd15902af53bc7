"""Cells on a canvas: where they lie, and the light each one sends, before any optics.

A cell is drawn into a small patch from its traits: an irregular body (a low-order Fourier outline), an elliptic nucleus
with chromatin, mitochondria as tubes or dots around the nucleus, and actin as a cortex with stress fibres. Textures are
crops of noise fields that a plate makes once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_tools.simulate.biology import F32, F64, CellTraits
from data_tools.simulate.plate_config import CHANNELS, PlateConfig
from data_tools.simulate.streams import Stream, generator

HOECHST, MITOTRACKER, PHALLOIDIN = range(len(CHANNELS))

_FIELD_PX = 1024
_CANDIDATES = 24
_HIDES = 0.75
_OUTLINE_ORDERS = (2, 3, 4, 5)
TOUCH_GAP_PX = 1.5
"""Nuclei whose rims are closer than this are called touching."""


@dataclass(frozen=True, kw_only=True)
class Textures:
    """Noise fields, float32 (1024, 1024), mean 0 and sd 1 (``tubes`` and ``dots`` 0..1).

    Attributes:
        chromatin: fine grain of nuclei.
        tubes: thin winding lines.
        dots: separate spots.
        coarse: slow variation over a cell.
    """

    chromatin: F32
    tubes: F32
    dots: F32
    coarse: F32

    @classmethod
    def draw(cls, config: PlateConfig) -> Textures:
        """Draw the fields of a simulation; grain sizes follow the nucleus' diameter."""
        rng = generator(config.seed, Stream.TEXTURES)
        unit = config.nucleus_diameter_px / 24
        mesh, spots = _band(rng, 9 * unit), _band(rng, 6 * unit)
        return cls(
            chromatin=_band(rng, 8 * unit),
            tubes=np.exp(-((mesh / 0.33) ** 2)),
            dots=np.clip((spots - 0.5) / 1.6, 0, 1),
            coarse=_band(rng, 34 * unit),
        )


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the cells of one site lie; arrays have length n, in drawing order.

    Attributes:
        y_px, x_px: centres of the nuclei; the centre of the first pixel is (0, 0).
        kept: which of the cells asked for found a place.
        touching: whether the nucleus touches another one.
    """

    y_px: F64
    x_px: F64
    kept: npt.NDArray[np.int64]
    touching: npt.NDArray[np.bool_]


def place_cells(traits: CellTraits, size_px: int, touching: float, rng: np.random.Generator) -> Placement:
    """Place cells one after another so that no two nuclei overlap; a cell that finds no gap is left out.

    Args:
        traits: the cells.
        size_px: height and width of the field.
        touching: share of cells that are put against the nucleus of an earlier one.
        rng: generator of the site.
    """
    centres = np.empty((len(traits), 2))
    kept: list[int] = []
    for cell, radius in enumerate(traits.nucleus_radius_px):
        beside = kept and rng.random() < touching
        radii = traits.nucleus_radius_px[kept]
        found = centres[: len(kept)]
        anywhere = (_CANDIDATES, 2)
        options = _beside(found, radii, radius, rng) if beside else rng.uniform(0, size_px - 1, anywhere)
        gap = _gaps(options, radius, found, radii)
        gap[np.any((options < 0) | (options > size_px - 1), axis=1)] = -np.inf
        # A neighbour counts as far enough away when half a cell body fits between the nuclei.
        wanted = -0.5 if beside else 0.5 * traits.body_radius_px[cell]
        best = int(np.argmax(np.minimum(gap, wanted)))
        if gap[best] >= (-0.5 if beside else TOUCH_GAP_PX):
            centres[len(kept)] = options[best]
            kept.append(cell)
    found, radii = centres[: len(kept)], traits.nucleus_radius_px[kept]
    return Placement(
        y_px=found[:, 0].copy(),
        x_px=found[:, 1].copy(),
        kept=np.array(kept, dtype=np.int64),
        touching=_touching(found, radii),
    )


def draw_cells(
    traits: CellTraits, placement: Placement, textures: Textures, size_px: int, rng: np.random.Generator
) -> F32:
    """Return the light of one site's cells in counts, float32 (3, size_px, size_px), without optics or noise."""
    canvas = np.zeros((len(CHANNELS), size_px, size_px), dtype=np.float32)
    for position, cell in enumerate(placement.kept):
        y_px, x_px = float(placement.y_px[position]), float(placement.x_px[position])
        patch, half = _draw_cell(traits, int(cell), (y_px % 1, x_px % 1), textures, rng)
        _paste(canvas, patch, int(y_px) - half, int(x_px) - half)
    return canvas


def _band(rng: np.random.Generator, wavelength_px: float) -> F32:
    """Return band-passed white noise, float32 (1024, 1024), mean 0 and sd 1."""
    frequency = np.hypot(np.fft.fftfreq(_FIELD_PX)[:, None], np.fft.rfftfreq(_FIELD_PX)[None, :]) * wavelength_px
    shape = frequency**2 * np.exp(-(frequency**2))
    white = np.fft.rfft2(rng.standard_normal((_FIELD_PX, _FIELD_PX)))
    field = np.fft.irfft2(white * shape, s=(_FIELD_PX, _FIELD_PX))
    standard: F32 = ((field - field.mean()) / field.std()).astype(np.float32)
    return standard


def _beside(found: F64, radii: F64, radius: float, rng: np.random.Generator) -> F64:
    """Return candidate centres (24, 2) that touch the nucleus of one earlier cell each."""
    chosen = rng.integers(len(found), size=_CANDIDATES)
    angle = rng.uniform(0, 2 * np.pi, _CANDIDATES)
    reach = radii[chosen] + radius + rng.uniform(-0.4, 0.8, _CANDIDATES)
    options: F64 = found[chosen] + reach[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return options


def _gaps(options: F64, radius: float, found: F64, radii: F64) -> F64:
    """Return for each candidate centre the distance in px from its rim to the nearest other nucleus' rim."""
    if not len(found):
        return np.full(len(options), np.inf)
    distance = np.linalg.norm(options[:, None] - found[None], axis=2)
    nearest: F64 = (distance - radii[None] - radius).min(axis=1)
    return nearest


def _touching(found: F64, radii: F64) -> npt.NDArray[np.bool_]:
    """Return for each nucleus whether another one's rim is closer than ``TOUCH_GAP_PX``."""
    distance = np.linalg.norm(found[:, None] - found[None], axis=2)
    gap = distance - radii[:, None] - radii[None]
    np.fill_diagonal(gap, np.inf)
    result: npt.NDArray[np.bool_] = (gap < TOUCH_GAP_PX).any(axis=1)
    return result


def _draw_cell(
    traits: CellTraits, cell: int, fraction: tuple[float, float], textures: Textures, rng: np.random.Generator
) -> tuple[F32, int]:
    """Return ``half`` and a patch (4, 2 * half + 1, 2 * half + 1): three channels and how much of a pixel is body.

    The nucleus lies at the patch's centre plus ``fraction``.
    """
    radius, aspect = float(traits.body_radius_px[cell]), float(traits.body_aspect[cell])
    half = int(np.ceil(1.4 * radius * np.sqrt(aspect))) + 3
    axis = np.arange(-half, half + 1, dtype=np.float32)
    dy, dx = axis[:, None] - np.float32(fraction[0]), axis[None, :] - np.float32(fraction[1])
    cos, sin = np.float32(np.cos(traits.angle_rad[cell])), np.float32(np.sin(traits.angle_rad[cell]))
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    crops = _crops(textures, 2 * half + 1, rng)
    rim = _body(along, across, radius, aspect, rng)
    nucleus = _nucleus(along, across, traits, cell, crops.coarse)
    patch = np.empty((len(CHANNELS) + 1, *rim.shape), dtype=np.float32)
    body = np.clip((1 - rim) * np.float32(radius / 2) + np.float32(0.5), 0, 1)
    inside = np.sqrt(np.clip(1 - nucleus**2, 0, 1))
    rn = float(traits.nucleus_radius_px[cell])
    dna = np.clip((1 - nucleus) * np.float32(rn / 1.6) + np.float32(0.5), 0, 1)
    grain = np.clip(1 + np.float32(0.2) * crops.chromatin, 0.4, 1.6)
    patch[HOECHST] = np.float32(traits.dna_counts[cell]) * dna * (0.7 + 0.3 * inside) * grain + 25 * body
    patch[MITOTRACKER] = _mitochondria(traits, cell, rim, body, dna, crops)
    patch[PHALLOIDIN] = _actin(traits, cell, rim, body, across, crops)
    patch[-1] = body
    return patch, half


def _crops(textures: Textures, width: int, rng: np.random.Generator) -> Textures:
    y, x = (int(value) for value in rng.integers(0, _FIELD_PX - width, size=2))
    window = (slice(y, y + width), slice(x, x + width))
    return Textures(
        chromatin=textures.chromatin[window],
        tubes=textures.tubes[window],
        dots=textures.dots[window],
        coarse=textures.coarse[window],
    )


def _body(along: F32, across: F32, radius: float, aspect: float, rng: np.random.Generator) -> F32:
    """Return the distance from the body's centre in units of its irregular outline: 1 on the rim."""
    stretch = np.float32(np.sqrt(aspect))
    shift = rng.normal(0, 0.10 * radius, 2).astype(np.float32)
    u, v = (along - shift[0]) / stretch, (across - shift[1]) * stretch
    rho = np.sqrt(u * u + v * v) + np.float32(1e-3)
    turn = (u + 1j * v) / rho
    outline = np.ones_like(rho)
    power = turn
    for order in _OUTLINE_ORDERS:
        power = power * turn
        a, b = rng.normal(0, 0.22 / order, 2).astype(np.float32)
        outline += a * power.real + b * power.imag
    result: F32 = rho / (np.float32(radius) * np.clip(outline, 0.7, 1.4))
    return result


def _nucleus(along: F32, across: F32, traits: CellTraits, cell: int, coarse: F32) -> F32:
    """Return the distance from the nucleus' centre in units of its rim."""
    stretch = np.float32(np.sqrt(traits.nucleus_aspect[cell]))
    radius = np.float32(traits.nucleus_radius_px[cell])
    u, v = along / stretch, across * stretch
    result: F32 = np.sqrt(u * u + v * v) / radius * (1 + np.float32(0.03) * coarse)
    return result


def _mitochondria(traits: CellTraits, cell: int, rim: F32, body: F32, dna: F32, crops: Textures) -> F32:
    tubular = np.float32(traits.mito_tubular[cell])
    network = tubular * crops.tubes + (1 - tubular) * crops.dots
    around = np.exp(-(((rim - np.float32(0.45)) / np.float32(0.32)) ** 2))
    peak = np.float32(traits.mito_counts[cell])
    result: F32 = body * (peak * (1 - np.float32(0.85) * dna) * around * (network + np.float32(0.12)) + 60)
    return result


def _actin(traits: CellTraits, cell: int, rim: F32, body: F32, across: F32, crops: Textures) -> F32:
    unit = np.float32(traits.nucleus_radius_px[cell] / 12)
    phase = across * np.float32(2 * np.pi / 5.5) / unit + np.float32(1.3) * crops.coarse
    stripes = np.exp(np.float32(2.2) * (np.cos(phase) - 1))
    patchy = np.clip(np.float32(0.55) + np.float32(0.4) * crops.chromatin, 0.1, 1.2)
    fibres = np.float32(traits.fibre_counts[cell]) * stripes * patchy * np.clip(4 * (np.float32(0.95) - rim), 0, 1)
    edge = (rim - np.float32(0.94)) * np.float32(traits.body_radius_px[cell] / 1.9)
    cortex = np.float32(traits.cortex_counts[cell]) * np.exp(-(edge**2)) * (1 + np.float32(0.25) * crops.coarse)
    result: F32 = np.clip(cortex, 0, None) + body * (fibres + 260)
    return result


def _paste(canvas: F32, patch: F32, top: int, left: int) -> None:
    """Lay a patch over the canvas: a body hides most of what lies under it, of two nuclei the brighter shows."""
    height, width = canvas.shape[1:]
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + patch.shape[1], height), min(left + patch.shape[2], width)
    view = canvas[:, y0:y1, x0:x1]
    part = patch[:, y0 - top : y1 - top, x0 - left : x1 - left]
    np.maximum(view[HOECHST], part[HOECHST], out=view[HOECHST])
    hidden = 1 - np.float32(_HIDES) * part[-1]
    for channel in (MITOTRACKER, PHALLOIDIN):
        view[channel] *= hidden
        view[channel] += part[channel]
