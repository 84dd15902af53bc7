"""The latent state both experiments share: which population a cell is of, its marker levels, and how it looks.

Both experiments draw their own cells here, from one distribution: no cell is measured twice, as in the real method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_tools.simulate.biology import F64
from data_tools.simulate.ifc_config import IfcConfig
from data_tools.simulate.streams import Stream, generator

LOOKS = ("size", "grain", "nucleus", "rim")
"""What a brightfield image shows of a cell, in standard deviations over all cells."""

_LOWEST, _HIGHEST = -0.1, 1.1


@dataclass(frozen=True, kw_only=True)
class LatentCells:
    """n cells.

    Attributes:
        population: int64 (n,), index into the populations of the config.
        levels: float64 (n, M), level of each marker, about 0..1.
        looks: float64 (n, 4), in ``LOOKS`` order.
    """

    population: npt.NDArray[np.int64]
    levels: F64
    looks: F64

    def __len__(self) -> int:
        return len(self.population)


def draw_cells(config: IfcConfig, n: int, stream: Stream) -> LatentCells:
    """Draw ``n`` cells of the config's populations; ``stream`` tells the two experiments apart."""
    rng = generator(config.seed, stream)
    share = np.array([population.share for population in config.populations.values()])
    population = rng.choice(len(share), size=n, p=share / share.sum())
    centres, spread = _centres(config)
    levels = centres[population] + spread[population, None] * rng.standard_normal((n, len(config.markers)))
    levels = np.clip(levels, _LOWEST, _HIGHEST)
    mean, sd = level_moments(config)
    standard = (levels - mean) / sd
    shown = standard[:, [number % len(config.markers) for number in range(len(LOOKS))]]
    noise = rng.standard_normal((n, len(LOOKS)))
    looks = np.sqrt(config.informative) * shown + np.sqrt(1 - config.informative) * noise
    return LatentCells(population=population, levels=levels, looks=np.clip(looks, -3.0, 3.0))


def level_moments(config: IfcConfig) -> tuple[F64, F64]:
    """Return mean and standard deviation of each marker's level over all cells, float64 (M,), before clipping."""
    share = np.array([population.share for population in config.populations.values()])
    weight = share / share.sum()
    centres, spread = _centres(config)
    mean = weight @ centres
    variance = weight @ ((centres - mean) ** 2 + spread[:, None] ** 2)
    return mean, np.sqrt(np.maximum(variance, 1e-6))


def _centres(config: IfcConfig) -> tuple[F64, F64]:
    populations = config.populations.values()
    centres = np.array([[population.levels[marker] for marker in config.markers] for population in populations])
    return centres, np.array([population.spread for population in populations])
