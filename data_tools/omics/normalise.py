"""From raw measurements to comparable ones: depth, scale, low expression, and the effects of batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data_tools.omics.batch import Effect, remove_batch
from framework.errors import InputError

F64 = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]
ExpressedIn = Literal["every_plate", "any_plate", "pooled"]


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """Normalised samples of one stimulation.

    Attributes:
        values: float64 (S, G'), log2 scale; NaN where an intensity was not measured.
        kept: bool (G,), genes that passed the expression filter.
        share: float64 (G,), the share of samples that the filter compared with ``min_share``, see ``shares_seen``.
        low_on: plate -> genes seen there in too small a share of its samples; one entry "" where plates are pooled.
        factors: float64 (S,), size factors (counts), medians in log2 (intensities) or zeros (log2).
        effect: what became of batch effects, see ``Corrected``.
        notes: which effects cannot be told, and why.
    """

    values: F64
    kept: npt.NDArray[np.bool_]
    share: F64
    low_on: dict[str, int]
    factors: F64
    effect: Effect
    notes: tuple[str, ...] = ()


def normalise(
    values: F64,
    *,
    kind: Literal["counts", "intensities", "log2"],
    plate: Text,
    condition: Text | None,
    min_share: float,
    expressed_in: ExpressedIn = "every_plate",
    batches: Mapping[str, Text] | None = None,
    covariates: Mapping[str, F64] | None = None,
) -> Normalised:
    """Normalise the samples of one stimulation.

    Args:
        values: (S, G), counts, intensities, or numbers on a log2 scale.
        kind: which of the three.
        plate: (S,), omics plate of each sample, on which low expression is judged.
        condition: (S,), what batch correction protects; None for nothing.
        min_share: genes seen in a smaller share of the samples are dropped.
        expressed_in: whether that share is asked of ``every_plate``, of ``any_plate``, or of all samples ``pooled``.
        batches: batch factors, as plate and multiplex -> (S,) levels; None for the plate alone.
        covariates: name -> (S,) numbers whose linear effect is taken out.

    Raises:
        InputError: a sample without any signal, or no gene passes the filter.
    """
    if kind == "counts":
        factors = size_factors(values)
        logged = np.log2(values / factors[:, None] + 1)
    elif kind == "log2":
        logged, factors = values, np.zeros(len(values))
    else:
        logged = np.log2(np.where(values > 0, values, np.nan))
        factors = _medians(logged)
        logged = logged - factors[:, None] + factors.mean()
    seen = np.isfinite(values) if kind == "log2" else values > 0
    shares = shares_seen(seen, plate, expressed_in)
    low_on = {plate: int((share < min_share).sum()) for plate, share in shares.items()}
    share = np.min(list(shares.values()), axis=0) if expressed_in != "any_plate" else np.max([*shares.values()], axis=0)
    kept: npt.NDArray[np.bool_] = (share >= min_share) & seen.any(axis=0)
    if not kept.any():
        raise InputError(_nothing_kept(values.shape, low_on, min_share, expressed_in))
    named = {"plate": plate} if batches is None else batches
    corrected = remove_batch(logged[:, kept], named, condition=condition, covariates=covariates)
    return Normalised(
        values=corrected.values,
        kept=kept,
        share=share,
        low_on=low_on,
        factors=factors,
        effect=corrected.effect,
        notes=corrected.notes,
    )


def shares_seen(seen: npt.NDArray[np.bool_], batch: Text, expressed_in: ExpressedIn) -> dict[str, F64]:
    """Return the share of samples in which each gene is seen, plate by plate.

    Image2Omics, "Data preprocessing": a gene goes if its normalised count is above zero "in less than 50 out of 384
    wells (13 %) in each plate". That is read as a rule for each plate before plates are pooled: a gene stays only if
    it is seen often enough on every plate, because plates are compared with each other afterwards. ``any_plate`` is
    the other reading of the sentence, under which a gene goes only if it fails on all plates.

    Args:
        seen: (S, G), whether a sample has anything of a gene.
        batch: (S,), plate of each sample.
        expressed_in: with ``pooled`` all samples count as one plate, named "".

    Returns:
        plate -> float64 (G,) in 0..1, in order of the plates' names.
    """
    plates = np.full(len(seen), "", dtype=object) if expressed_in == "pooled" else batch
    return {str(plate): seen[plates == plate].mean(axis=0) for plate in sorted(set(plates))}


def _nothing_kept(shape: tuple[int, ...], low_on: dict[str, int], min_share: float, expressed_in: ExpressedIn) -> str:
    samples, genes = shape
    if len(low_on) < 2:
        return f"no gene is seen in at least {min_share:.0%} of the {samples} samples; lower 'min_share'"
    where = "every plate" if expressed_in == "every_plate" else "any plate"
    told = ", ".join(f"'{plate}' {genes - low}" for plate, low in low_on.items())
    return (
        f"no gene is seen in at least {min_share:.0%} of the samples of {where} (genes that pass on each plate, of "
        f"{genes}: {told}); remove a failed plate, lower 'min_share', or set expressed_in: pooled"
    )


def size_factors(counts: F64) -> F64:
    """Return the size factor of each sample by the median of ratios (Anders & Huber 2010, eq. 5).

    Args:
        counts: (S, G), zero or more.

    Returns:
        float64 (S,). Where no gene is seen in every sample, DESeq2's ``poscounts`` takes its place: geometric means
        that count an unseen gene as 1, ratios over the genes a sample has, factors with geometric mean 1.

    Raises:
        InputError: a sample has no count at all.
    """
    if not (counts > 0).any(axis=1).all():
        row = int(np.argmin((counts > 0).any(axis=1)))
        raise InputError(f"sample {row + 1} of {len(counts)} has no count at all; remove it from the table")
    seen = counts > 0
    log_counts = np.where(seen, np.log(np.where(seen, counts, 1.0)), 0.0)
    everywhere = seen.all(axis=0)
    usable = everywhere if everywhere.any() else seen.any(axis=0)
    log_mean = log_counts[:, usable].mean(axis=0)
    ratios = np.where(seen[:, usable], log_counts[:, usable] - log_mean, np.nan)
    log_factor = np.nanmedian(ratios, axis=1)
    if not everywhere.any():
        log_factor = log_factor - log_factor.mean()
    result: F64 = np.exp(log_factor)
    return result


def _medians(logged: F64) -> F64:
    empty = ~np.isfinite(logged).any(axis=1)
    if empty.any():
        raise InputError(f"sample {int(np.argmax(empty)) + 1} of {len(logged)} has no intensity at all; remove it")
    result: Any = np.nanmedian(logged, axis=1)
    return np.asarray(result, dtype=np.float64)
