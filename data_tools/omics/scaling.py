"""Samples on one scale: size factors of counts, vsn or medians of intensities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from data_tools.omics.vsn import VsnProfile, fit_vsn
from framework.errors import InputError

F64 = npt.NDArray[np.float64]
Kind = Literal["counts", "intensities", "log2", "prepared"]
Method = Literal["vsn", "median"]


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """Comparable samples.

    Attributes:
        values: float64 (S, G), log2 scale; NaN where an intensity was not measured.
        factors: float64 (S,), see ``Normalised``.
        vsn: the fit, where there is one; its genes are those that were ``kept``.
    """

    values: F64
    factors: F64
    vsn: VsnProfile | None = None


def scale_samples(
    values: F64,
    kept: npt.NDArray[np.bool_],
    kind: Kind,
    *,
    method: Method,
    trimmed: float,
    names: Sequence[str],
    fit: VsnProfile | None = None,
) -> Scaled:
    """Bring samples onto one scale.

    Args:
        values: (S, G).
        kept: (G,), genes that pass the expression filter, from which vsn is fitted.
        kind: kind of the values.
        method: for intensities.
        trimmed: share of the genes that vsn leaves out as changed.
        names: (S,), what messages call the samples.
        fit: an earlier one onto which the samples are mapped, its ``mean`` (G,); None to fit these samples.

    Raises:
        InputError: too few genes for vsn.
    """
    if kind == "counts":
        factors = size_factors(values)
        return Scaled(values=np.log2(values / factors[:, None] + 1), factors=factors)
    if kind in ("log2", "prepared"):
        return Scaled(values=values, factors=np.zeros(len(values)))
    measured = np.where(values > 0, values, np.nan)
    if method == "vsn":
        profile = fit_vsn(measured[:, kept], trimmed, names) if fit is None else fit.for_samples(measured, names)
        factors = (profile.level - profile.log_factors) / np.log(2)
        own = profile if fit is None else replace(profile, mean=profile.mean[kept])
        return Scaled(values=profile.apply(measured), factors=factors, vsn=own)
    logged = np.log2(measured)
    factors = np.nanmedian(logged, axis=1)
    return Scaled(values=logged - factors[:, None] + factors.mean(), factors=factors)


def check_signal(seen: npt.NDArray[np.bool_], kind: Kind, names: Sequence[str]) -> None:
    """Refuse a sample without any value (S, G).

    Raises:
        InputError: names the sample.
    """
    empty = np.flatnonzero(~seen.any(axis=1))
    if len(empty):
        what = {"counts": "count above zero", "intensities": "intensity above zero"}.get(kind, "value")
        raise InputError(f"{names[empty[0]]} has no {what} at all; remove it from the table")


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
