"""The generative model: condition -> latent state of a well -> appearance of each cell.

A condition (perturbation x stimulation) has a latent state of six interpretable numbers. Perturbations draw theirs from
a three-dimensional continuous distribution, so a held-out perturbation lies between those seen in training. Images
(``cells``) and gene tables (``gene_tables``) see the latent state only through what is written here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_tools.simulate.plate_config import NEGATIVE_CONTROL, POSITIVE_CONTROL, PlateConfig
from data_tools.simulate.streams import Stream, generator

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

LATENTS = ("cell_size", "elongation", "nucleus_size", "mitochondria", "actin_fibres", "density")
"""Dimensions of the latent state; 0 is the neutral state, 1 one standard deviation over perturbations."""

_RANK = 3
_LARGEST = 2.5
_POSITIVE_CONTROL_REACH = 1.25


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The latent state of every condition.

    Attributes:
        perturbations: P names, ``NT`` and ``POS`` first.
        stimulations: S names.
        latent: float64 (P, S, 6), in ``LATENTS`` order, each within -2.5 .. 2.5.
    """

    perturbations: tuple[str, ...]
    stimulations: tuple[str, ...]
    latent: F64


@dataclass(frozen=True, kw_only=True)
class CellTraits:
    """What one site's n cells look like; every array has length n.

    Attributes:
        body_radius_px: radius of the circle with the body's area.
        body_aspect: long over short axis of the body, >= 1.
        nucleus_radius_px: radius of the circle with the nucleus' area.
        nucleus_aspect: long over short axis of the nucleus, >= 1.
        mito_counts: peak MitoTracker signal in counts.
        mito_tubular: 0 all mitochondria are dots .. 1 all are tubes.
        fibre_counts: peak stress-fibre signal in counts.
        cortex_counts: peak cortical-actin signal in counts.
        dna_counts: Hoechst signal of the nucleus in counts.
        angle_rad: direction of the long axis.
    """

    body_radius_px: F64
    body_aspect: F64
    nucleus_radius_px: F64
    nucleus_aspect: F64
    mito_counts: F64
    mito_tubular: F64
    fibre_counts: F64
    cortex_counts: F64
    dna_counts: F64
    angle_rad: F64

    def __len__(self) -> int:
        return len(self.angle_rad)


def control_type(perturbation: str) -> str:
    """Return ``negcon``, ``poscon`` or ``treatment``."""
    return {NEGATIVE_CONTROL: "negcon", POSITIVE_CONTROL: "poscon"}.get(perturbation, "treatment")


def draw_conditions(config: PlateConfig) -> Conditions:
    """Draw the latent state of every perturbation under every stimulation.

    latent = limit(offset of the stimulation + gain of the stimulation * effect of the perturbation). NT has no effect,
    POS lies at a corner of the range that the treatments fill evenly (a Latin hypercube).
    """
    rng = generator(config.seed, Stream.PERTURBATIONS)
    n_treatments = config.perturbations - 2
    mixing = np.linalg.qr(rng.standard_normal((len(LATENTS), _RANK)))[0]
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    corner = rng.choice([-1.0, 1.0], size=_RANK) * np.sqrt(3.0)
    cube = np.stack([(rng.permutation(n_treatments) + rng.random(n_treatments)) / n_treatments for _ in range(_RANK)])
    treatments = (2 * cube.T - 1) * np.sqrt(3.0)
    factors = np.vstack([np.zeros(_RANK), _POSITIVE_CONTROL_REACH * corner, treatments])
    effects = factors @ mixing.T
    states = []
    for number in range(len(config.stimulations)):
        rng = generator(config.seed, Stream.STIMULATIONS, number)
        offset, gain = rng.normal(0, 0.6, len(LATENTS)), rng.uniform(0.75, 1.25, len(LATENTS))
        states.append(_limited(config.effect_strength * (offset + gain * effects)))
    width = len(str(max(n_treatments, 10)))
    names = (NEGATIVE_CONTROL, POSITIVE_CONTROL, *(f"P{i:0{width}d}" for i in range(1, n_treatments + 1)))
    return Conditions(perturbations=names, stimulations=config.stimulations, latent=np.stack(states, axis=1))


def well_state(latent: F64, noise: float, rng: np.random.Generator) -> F64:
    """Return the latent state (6,) of one well: its condition's ``latent`` plus noise of sd ``noise``."""
    return latent + noise * rng.standard_normal(len(latent))


def draw_cell_count(latent: F64, mean: float, rng: np.random.Generator) -> int:
    """Return a Poisson number of cells around ``mean`` scaled by the density of the well."""
    return int(rng.poisson(mean * np.exp(0.25 * _visible(latent)[LATENTS.index("density")])))


def draw_traits(latent: F64, n: int, nucleus_diameter_px: float, rng: np.random.Generator) -> CellTraits:
    """Draw the appearance of ``n`` cells of a well in state ``latent`` (6,).

    Each trait is the exponential of a linear function of its own latent dimension plus variation between cells, so
    means over cells recover the latent state.
    """
    size, elongation, nucleus, mito, fibres, _ = _visible(latent)
    radius = nucleus_diameter_px / 2

    def spread(sd: float) -> F64:
        return np.exp(sd * rng.standard_normal(n))

    body_aspect = np.clip(np.exp(0.38 + 0.22 * elongation) * spread(0.12), 1.0, 4.0)
    nucleus_radius = np.clip(radius * np.exp(0.12 * nucleus) * spread(0.07), 0.5 * radius, 1.9 * radius)
    body_radius = 1.95 * radius * np.exp(0.14 * size) * spread(0.10)
    return CellTraits(
        body_radius_px=np.maximum(body_radius, 1.25 * nucleus_radius),
        body_aspect=body_aspect,
        nucleus_radius_px=nucleus_radius,
        nucleus_aspect=np.clip(body_aspect**0.55 * spread(0.05), 1.0, 2.2),
        mito_counts=4300 * np.exp(0.34 * mito) * spread(0.22),
        mito_tubular=1 / (1 + np.exp(-(0.9 * mito + 0.4 * rng.standard_normal(n)))),
        fibre_counts=1500 * np.exp(0.45 * fibres) * spread(0.25),
        cortex_counts=1050 * spread(0.18),
        dna_counts=2900 * spread(0.14),
        angle_rad=rng.uniform(0, np.pi, n),
    )


def _limited(latent: F64) -> F64:
    """Bend large states smoothly back to within +-2.5, so no cell grows past what an image can show."""
    return _LARGEST * np.tanh(latent / _LARGEST)


def _visible(latent: F64) -> F64:
    """Return the state an image can show: linear in ``latent`` but for noise that goes beyond +-3."""
    return np.clip(latent, -_LARGEST - 0.5, _LARGEST + 0.5)
