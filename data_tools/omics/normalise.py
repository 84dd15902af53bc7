"""From raw measurements to comparable ones: depth, scale, low expression, and the effects of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from data_tools.omics.batch import Effect, remove_batch
from data_tools.omics.scaling import Kind, Method, check_signal, scale_samples
from data_tools.omics.vsn import TRIMMED, VsnProfile, sample_names
from framework.errors import InputError

F64 = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]
ExpressedIn = Literal["every_plate", "any_plate", "pooled"]


@dataclass(frozen=True, kw_only=True)
class Normalised:
    """Normalised samples of one stimulation.

    Attributes:
        values: float64 (S, G'), log2 scale; NaN where an intensity was not measured.
        before: the same before the effects of batches were taken out.
        kept: bool (G,), genes that passed the expression filter.
        share: float64 (G,), the share of samples that the filter compared with ``min_share``, see ``shares_seen``.
        low_on: plate -> genes seen there in too small a share of its samples; one entry "" where plates are pooled.
        factors: float64 (S,), size factors (counts), log2 of how many times stronger than the mean a sample is (vsn),
            medians in log2 (median) or zeros (log2).
        effect: what became of batch effects, see ``Corrected``.
        notes: which effects cannot be told, and why.
        vsn: the fit, where there is one; its ``mean`` is of the genes that were kept.
    """

    values: F64
    before: F64
    kept: npt.NDArray[np.bool_]
    share: F64
    low_on: dict[str, int]
    factors: F64
    effect: Effect
    notes: tuple[str, ...] = ()
    vsn: VsnProfile | None = None


def normalise(
    values: F64,
    *,
    kind: Kind,
    plate: Text,
    condition: Text | None,
    min_share: float,
    expressed_in: ExpressedIn = "every_plate",
    batches: Mapping[str, Text] | None = None,
    covariates: Mapping[str, F64] | None = None,
    method: Method = "vsn",
    trimmed: float = TRIMMED,
    names: Sequence[str] | None = None,
    fit: VsnProfile | None = None,
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
        method: how intensities become comparable: ``vsn`` (Huber 2002), or log2 centred on ``median``.
        trimmed: share of the genes that vsn leaves out as changed.
        names: (S,), what messages call the samples; None to count them.
        fit: fit of vsn, onto which samples are mapped, its ``mean`` (G,); None to fit these samples.

    Raises:
        InputError: a sample without any signal, no gene passes the filter, or too few genes for vsn.
    """
    seen = np.isfinite(values) if kind in ("log2", "prepared") else values > 0
    named = sample_names(len(values), names)
    check_signal(seen, kind, named)
    shares = shares_seen(seen, plate, expressed_in)
    low_on = {plate: int((share < min_share).sum()) for plate, share in shares.items()}
    share = np.min(list(shares.values()), axis=0) if expressed_in != "any_plate" else np.max([*shares.values()], axis=0)
    kept: npt.NDArray[np.bool_] = (share >= min_share) & seen.any(axis=0)
    if not kept.any():
        raise InputError(_nothing_kept(values.shape, low_on, min_share, expressed_in))
    scaled = scale_samples(values, kept, kind, method=method, trimmed=trimmed, names=named, fit=fit)
    factors = {"plate": plate} if batches is None else batches
    before = scaled.values[:, kept]
    corrected = remove_batch(before, factors, condition=condition, covariates=covariates)
    return Normalised(
        values=corrected.values,
        before=before,
        kept=kept,
        share=share,
        low_on=low_on,
        factors=scaled.factors,
        vsn=scaled.vsn,
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
