"""Omics tables whose answer is known: some genes follow the latent state of the cells, all others do not.

Natural-log expression of a gene in a sample::

    base + offset(stimulation) + loading(stimulation) . latent(sample) + specific(condition) + batch(omics plate)

``loading`` is zero for independent genes. They vary between conditions just as much, through ``specific``, which no
image shows: a model that predicts them on held-out perturbations has cheated. Transcripts are counts, proteins are
intensities. Omics wells are other wells than the imaged ones: their latent states share the condition, not the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.simulate.biology import F64, LATENTS, Conditions, control_type, well_state
from data_tools.simulate.plate_config import PlateConfig
from data_tools.simulate.streams import Stream, generator
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, STIMULATION, WELL

Modality = Literal["transcripts", "proteins"]
MODALITIES: tuple[Modality, ...] = ("transcripts", "proteins")
SAMPLE = "sample"

STRONG = 0.5
"""Dependent genes with at least this strength are of class ``strong``, the others ``weak``."""

_SHARED = 0.6
_PREFIX = {"transcripts": "GENE", "proteins": "PROT"}
_PLATE_MARK = {"transcripts": "RNA", "proteins": "PROT"}
_SPECIFIC_OF_DEPENDENT_SD = 0.1
_EFFECT_SD = (0.25, 0.9)


@dataclass(frozen=True, kw_only=True)
class GenePanel:
    """What is true of the G genes of one modality under S stimulations.

    Attributes:
        modality: ``transcripts`` or ``proteins``.
        names: G names.
        base: float64 (G, S), natural log of the mean expression in the neutral state.
        loading: float64 (G, S, 6), change of log expression per unit of each latent dimension; 0 = independent.
        specific: float64 (G, P, S), effect of a condition that no image shows.
        noise: float64 (G,), counts: dispersion of the negative binomial; intensities: sd of the log.
    """

    modality: Modality
    names: tuple[str, ...]
    base: F64
    loading: F64
    specific: F64
    noise: F64

    @classmethod
    def draw(cls, config: PlateConfig, conditions: Conditions, modality: Modality) -> GenePanel:
        """Draw the genes of a modality."""
        rng = generator(config.seed, Stream.GENES, MODALITIES.index(modality))
        n = config.transcripts if modality == "transcripts" else config.proteins
        n_stimulations = len(conditions.stimulations)
        loading = _loadings(n, n_stimulations, round(config.dependent_fraction * n), rng)
        if modality == "transcripts":
            low = rng.random(n) < 0.1
            base = np.where(low, rng.normal(0.0, 0.5, n), rng.normal(5.0, 1.1, n))
            noise = np.exp(rng.normal(np.log(0.04), 0.4, n))
        else:
            base, noise = rng.normal(14.0, 1.4, n), rng.uniform(0.12, 0.35, n)
        offset = rng.normal(0, 0.4, (n, n_stimulations))
        width = max(4, len(str(n)))
        return cls(
            modality=modality,
            names=tuple(f"{_PREFIX[modality]}{number:0{width}d}" for number in range(1, n + 1)),
            base=base[:, None] + offset,
            loading=loading,
            specific=_specific(config, loading, len(conditions.perturbations), modality),
            noise=noise,
        )


def sample_table(config: PlateConfig, conditions: Conditions, panel: GenePanel) -> pd.DataFrame:
    """Measure every condition on every omics plate.

    Returns:
        One row per sample, plate by plate in well order: sample, the ``Metadata_*`` columns, then one column per gene
        (transcripts int64 counts; proteins positive float64 intensities, NaN where none was detected).
    """
    rows: list[tuple[str, ...]] = []
    values: list[npt.NDArray[np.int64] | F64] = []
    for replicate in range(config.omics_replicates):
        plate = f"{config.plate}-{_PLATE_MARK[panel.modality]}{replicate + 1}"
        number = MODALITIES.index(panel.modality)
        batch_rng = generator(config.seed, Stream.OMICS_BATCH, number, replicate)
        batch = 0.25 * config.batch_strength * batch_rng.standard_normal(len(panel.names))
        for well, condition in enumerate(_layout(config, conditions, number, replicate)):
            if condition < 0:
                continue
            perturbation, stimulation = divmod(condition, len(conditions.stimulations))
            rng = generator(config.seed, Stream.OMICS_SAMPLE, number, replicate, perturbation, stimulation)
            latent = well_state(conditions.latent[perturbation, stimulation], config.well_noise, rng)
            log_mean = (
                panel.base[:, stimulation]
                + panel.loading[:, stimulation] @ latent
                + panel.specific[:, perturbation, stimulation]
                + batch
            )
            name = well_name(*divmod(well, config.columns))
            label = conditions.perturbations[perturbation]
            stimulated = conditions.stimulations[stimulation]
            rows.append((f"{plate}-{name}", plate, name, label, stimulated, control_type(label)))
            measure = _counts if panel.modality == "transcripts" else _intensities
            values.append(measure(log_mean, panel, rng))
    frame = pd.DataFrame(rows, columns=[SAMPLE, PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE])
    return pd.concat([frame, pd.DataFrame(np.stack(values), columns=list(panel.names))], axis=1)


def truth_table(config: PlateConfig, conditions: Conditions, panel: GenePanel) -> pd.DataFrame:
    """Say which genes depend on the latent state, and how strongly.

    ``strength`` (0..1) is the share of a single sample's variance in log expression, within one stimulation and without
    batch effects, that the latent states of the conditions explain::

        var over perturbations of (loading . latent) / (that + var of specific + noise of well and measurement)

    Measurement noise is the negative binomial's by the delta method (1 / mean + dispersion), or the intensity's.

    Returns:
        One row per gene and stimulation: gene, modality, stimulation, depends, strength, class
        (strong, weak, independent), mean_expression, the three parts of the variance (``variance_state``,
        ``variance_specific``, ``variance_sample``: that formula's terms, the last one with wells and measurement
        together), loading_<latent> x 6.
    """
    explained = np.einsum("gsl,psl->gps", panel.loading, conditions.latent).var(axis=1)
    mean = np.exp(panel.base + np.einsum("gsl,sl->gs", panel.loading, conditions.latent.mean(axis=0)))
    measured = 1 / mean + panel.noise[:, None] if panel.modality == "transcripts" else panel.noise[:, None] ** 2
    wells = config.well_noise**2 * (panel.loading**2).sum(axis=2)
    specific, sample = panel.specific.var(axis=1), measured + wells
    strength = explained / (explained + specific + sample)
    depends = np.any(panel.loading != 0, axis=2)
    kind = np.where(depends, np.where(strength >= STRONG, "strong", "weak"), "independent")
    n_stimulations = len(conditions.stimulations)
    columns: dict[str, object] = {
        "gene": np.repeat(panel.names, n_stimulations),
        "modality": panel.modality,
        "stimulation": np.tile(conditions.stimulations, len(panel.names)),
        "depends": depends.reshape(-1),
        "strength": np.where(depends, strength, 0.0).reshape(-1),
        "class": kind.reshape(-1),
        "mean_expression": mean.reshape(-1),
        "variance_state": explained.reshape(-1),
        "variance_specific": specific.reshape(-1),
        "variance_sample": sample.reshape(-1),
    }
    for number, latent in enumerate(LATENTS):
        columns[f"loading_{latent}"] = panel.loading[:, :, number].reshape(-1)
    return pd.DataFrame(columns)


def noise_ceiling(truth: pd.DataFrame, samples: int) -> pd.Series[float]:
    """Return the largest r2 that predictions from images can be expected to reach, per row of ``truth``, 0..1.

    Such predictions know the latent state of the conditions exactly and nothing else. Labels are means of ``samples``
    omics wells per condition, so only the variance between samples shrinks::

        variance_state / (variance_state + variance_specific + variance_sample / samples)

    Args:
        truth: rows of ``truth_table``.
        samples: omics wells that a label averages (``omics.wells_per_label`` of an ingest).
    """
    state, specific = truth["variance_state"], truth["variance_specific"]
    ceiling: pd.Series[float] = state / (state + specific + truth["variance_sample"] / samples)
    return ceiling


def well_name(row: int, column: int) -> str:
    """Return ``A01`` for row 0, column 0; ``AA01`` follows ``Z01``."""
    letters = chr(ord("A") + row) if row < 26 else f"A{chr(ord('A') + row - 26)}"
    return f"{letters}{column + 1:02d}"


def _loadings(n: int, n_stimulations: int, n_dependent: int, rng: np.random.Generator) -> F64:
    """Draw loadings (n, S, 6): most dependent genes load alike under all stimulations, the others on their own."""
    loading = np.zeros((n, n_stimulations, len(LATENTS)))
    order = rng.permutation(n)
    n_shared = round(_SHARED * n_dependent)
    shared, rest = order[:n_shared], order[n_shared:]
    loading[shared] = _directions(n_shared, rng)[:, None, :]
    for stimulation in range(n_stimulations):
        own = rng.choice(rest, n_dependent - n_shared, replace=False)
        loading[own, stimulation] = _directions(len(own), rng)
    return loading


def _directions(n: int, rng: np.random.Generator) -> F64:
    """Draw n vectors (n, 6) with one to three entries that are not zero and an effect size as length."""
    vectors = np.zeros((n, len(LATENTS)))
    for gene in range(n):
        chosen = rng.choice(len(LATENTS), size=int(rng.integers(1, 4)), replace=False)
        vectors[gene, chosen] = rng.standard_normal(len(chosen))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: F64 = vectors / np.maximum(length, 1e-12) * rng.uniform(*_EFFECT_SD, (n, 1))
    return result


def _specific(config: PlateConfig, loading: F64, n_perturbations: int, modality: Modality) -> F64:
    """Draw effects (G, P, S) of conditions on single genes: as wide as the latent ones where a gene is independent."""
    rng = generator(config.seed, Stream.SPECIFIC, MODALITIES.index(modality))
    n, n_stimulations = loading.shape[:2]
    sd = np.where(
        np.any(loading != 0, axis=2), _SPECIFIC_OF_DEPENDENT_SD, rng.uniform(*_EFFECT_SD, (n, n_stimulations))
    )
    return sd[:, None, :] * rng.standard_normal((n, n_perturbations, n_stimulations))


def _layout(config: PlateConfig, conditions: Conditions, modality: int, replicate: int) -> list[int]:
    """Return for each well of an omics plate, row by row, the number of its condition, or -1."""
    rng = generator(config.seed, Stream.OMICS_LAYOUT, modality, replicate)
    wells = np.full(config.rows * config.columns, -1)
    n = len(conditions.perturbations) * len(conditions.stimulations)
    wells[rng.permutation(len(wells))[:n]] = np.arange(n)
    return [int(condition) for condition in wells]


def _counts(log_mean: F64, panel: GenePanel, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    depth = np.exp(0.3 * rng.standard_normal())
    shape = 1 / panel.noise
    rate = rng.gamma(shape, np.exp(log_mean) * depth / shape)
    counts: npt.NDArray[np.int64] = rng.poisson(rate).astype(np.int64)
    return counts


def _intensities(log_mean: F64, panel: GenePanel, rng: np.random.Generator) -> F64:
    """Draw intensities; weak ones are missed more often, as a mass spectrometer does."""
    loading = 0.25 * rng.standard_normal()
    log_value = log_mean + loading + panel.noise * rng.standard_normal(len(log_mean))
    missed = rng.random(len(log_mean)) < 0.005 + 0.15 / (1 + np.exp(3 * (log_value - 11.5)))
    return np.where(missed, np.nan, np.exp(log_value))
