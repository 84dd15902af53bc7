"""Expression whose answer is known: genes that follow marker levels, genes of one population, and all others.

Natural-log mean of a gene in a cell of average depth::

    base + loading . (levels - mean) + bend * (level - mean)^2 + effect[population] + gene_noise * normal

A gene has either ``loading`` and ``bend`` (it follows markers), or ``effect`` (it marks a population), or neither.
Counts are negative binomial around the mean times the depth of the cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.simulate.biology import F64
from data_tools.simulate.ifc_cells import LatentCells, level_moments
from data_tools.simulate.ifc_config import IfcConfig
from data_tools.simulate.streams import Stream, generator

I64 = npt.NDArray[np.int64]

HUMAN, MOUSE = "HUMAN_", "MOUSE_"
MARKER, POPULATION, INDEPENDENT = "marker", "population", "independent"

_ADT_LOW, _ADT_RANGE = 0.8, 1.9
_DEPTH_SD, _ADT_SD, _ADT_DISPERSION = 0.25, 0.15, 0.03
_LARGEST_LOG_MEAN = 6.0


@dataclass(frozen=True, kw_only=True)
class ExpressionModel:
    """What is true of G genes.

    Attributes:
        names: G names.
        kind: G of ``marker``, ``population``, ``independent``.
        base: float64 (G,), natural log of the mean count in the average cell.
        loading: float64 (G, M), per unit of each marker's level.
        bend: float64 (G, M), per squared unit: expression that rises and falls along a marker.
        effect: float64 (G, P), of each population.
        dispersion: float64 (G,), of the negative binomial.
    """

    names: tuple[str, ...]
    kind: tuple[str, ...]
    base: F64
    loading: F64
    bend: F64
    effect: F64
    dispersion: F64

    @classmethod
    def draw(cls, config: IfcConfig) -> ExpressionModel:
        """Draw the genes."""
        rng = generator(config.seed, Stream.IFC_GENES)
        n, m, p = config.genes, len(config.markers), len(config.populations)
        n_marker, n_population = round(config.dependent_fraction * n), round(config.population_fraction * n)
        order = rng.permutation(n)
        with_markers, of_population = order[:n_marker], order[n_marker : n_marker + n_population]
        loading, bend, effect = np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, p))
        direction = rng.standard_normal((n_marker, m))
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12)
        loading[with_markers] = direction * rng.uniform(1.5, 4.0, (n_marker, 1))
        bent = with_markers[rng.random(n_marker) < 0.3]
        bend[bent, rng.integers(m, size=len(bent))] = rng.uniform(-9, 9, len(bent))
        effect[of_population, rng.integers(p, size=n_population)] = rng.uniform(0.7, 2.0, n_population)
        kind = np.full(n, INDEPENDENT, dtype="U11")
        kind[with_markers], kind[of_population] = MARKER, POPULATION
        width = max(4, len(str(n)))
        prefix = HUMAN if config.foreign_cells else ""
        return cls(
            names=tuple(f"{prefix}GENE{number:0{width}d}" for number in range(1, n + 1)),
            kind=tuple(kind.tolist()),
            base=rng.normal(0.3, 0.9, n),
            loading=loading,
            bend=bend,
            effect=effect,
            dispersion=np.exp(rng.normal(np.log(0.15), 0.3, n)),
        )

    def log_mean(self, config: IfcConfig, cells: LatentCells) -> F64:
        """Return what markers and population explain of ln(mean count), float64 (n, G)."""
        centred = cells.levels - level_moments(config)[0]
        return self.base + centred @ self.loading.T + centred**2 @ self.bend.T + self.effect.T[cells.population]

    def truth(self, config: IfcConfig, cells: LatentCells) -> pd.DataFrame:
        """Return one row per gene.

        ``strength`` is the share of the variance of ln(count) that marker levels and population explain. The noise of
        counting is that of the negative binomial by the delta method (1 / mean + dispersion).
        """
        log_mean = self.log_mean(config, cells)
        explained = log_mean.var(axis=0)
        noise = 1 / np.exp(log_mean).mean(axis=0) + self.dispersion + config.gene_noise**2
        columns: dict[str, object] = {
            "gene": list(self.names),
            "class": list(self.kind),
            "strength": np.where(np.array(self.kind) == INDEPENDENT, 0.0, explained / (explained + noise)),
            "mean_count": np.exp(log_mean).mean(axis=0),
        }
        for number, marker in enumerate(config.markers):
            columns[f"loading_{marker}"] = self.loading[:, number]
            columns[f"bend_{marker}"] = self.bend[:, number]
        for number, population in enumerate(config.populations):
            columns[f"effect_{population}"] = self.effect[:, number]
        return pd.DataFrame(columns)


def draw_counts(model: ExpressionModel, config: IfcConfig, cells: LatentCells, stream: Stream) -> tuple[I64, F64]:
    """Sequence cells.

    Returns:
        counts int64 (n, G), and the means they were drawn around at depth 1, float64 (n, G).
    """
    rng = generator(config.seed, Stream.IFC_COUNTS, int(stream))
    log_mean = model.log_mean(config, cells)
    log_mean = log_mean + config.gene_noise * rng.standard_normal(log_mean.shape)
    mean = np.exp(np.minimum(log_mean, _LARGEST_LOG_MEAN))
    depth = np.exp(_DEPTH_SD * rng.standard_normal((len(cells), 1)))
    shape = 1 / model.dispersion
    counts: I64 = rng.poisson(rng.gamma(shape, mean * depth / shape)).astype(np.int64)
    return counts, mean


def draw_surface_proteins(config: IfcConfig, cells: LatentCells) -> pd.DataFrame:
    """Count antibody tags: the shared markers, then proteins of which each belongs to one population.

    Returns:
        Cells x proteins, int64 counts.
    """
    rng = generator(config.seed, Stream.SURFACE_PROTEINS)
    others = rng.integers(len(config.populations), size=config.other_proteins)
    levels = np.hstack([cells.levels, np.where(cells.population[:, None] == others[None], 0.8, 0.2)])
    mean = 10 ** (_ADT_LOW + _ADT_RANGE * levels) * np.exp(_ADT_SD * rng.standard_normal(levels.shape))
    counts = rng.poisson(rng.gamma(1 / _ADT_DISPERSION, mean * _ADT_DISPERSION))
    names = [*config.markers, *(f"PROT{number}" for number in range(1, config.other_proteins + 1))]
    return pd.DataFrame(counts.astype(np.int64), columns=names)


def with_foreign_cells(config: IfcConfig, counts: I64, names: tuple[str, ...]) -> tuple[I64, tuple[str, ...]]:
    """Return counts (n, G) and genes with those of the other species added: cells at the end, genes behind the others.

    Cells of each species also get stray counts of the other one, as droplets do.
    """
    rng = generator(config.seed, Stream.FOREIGN_CELLS)
    n, extra, genes = len(counts), config.foreign_cells, config.foreign_genes
    if not extra:
        return counts, names
    whole = np.zeros((n + extra, counts.shape[1] + genes), dtype=np.int64)
    whole[:n, : counts.shape[1]] = counts
    whole[:n, counts.shape[1] :] = rng.poisson(0.01, (n, genes))
    whole[n:, : counts.shape[1]] = rng.poisson(0.01, (extra, counts.shape[1]))
    whole[n:, counts.shape[1] :] = rng.poisson(6.0, (extra, genes))
    return whole, (*names, *(f"{MOUSE}GENE{number:04d}" for number in range(1, genes + 1)))
