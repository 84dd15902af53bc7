"""Variance-stabilising normalisation: an affine map per sample, then arsinh, fitted by maximum likelihood.

Huber et al. 2002 (Bioinformatics 18, S96) model the intensity y of gene k in sample i by ::

    arsinh(a_i + exp(b_i) y_ki) = mu_k + noise,    noise ~ N(0, sd^2)

Noise of strong signals is then multiplicative, that of weak ones additive, and after the map it is the same for all.
``a``, ``b`` maximise the likelihood in which every ``mu_k`` and ``sd`` stand at their own maximum. Genes that differ
between samples would pull at the maps, so the worst tenth of each of five classes of intensity is left out and the fit
made again, until the genes that are left stay the same (least trimmed squares).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from framework.errors import InputError

F64 = npt.NDArray[np.float64]
LEAST_GENES = 42
"""That a fit is made from."""
TRIMMED = 0.1
"""Share of the genes that is left out as changed, R's ``1 - lts.quantile``."""
_CLASSES = 5
_MOST_ROUNDS = 7
_MOST_STEPS = 500
_STEEPEST = 25.0
"""Bound of ``b`` around the inverse median of a sample; beyond it arsinh is a logarithm to 10 digits."""
_LEAST_SD = 1e-5
_ARRAYS, _NUMBERS = ("offsets", "log_factors", "mean"), ("sd", "level", "trimmed")


@dataclass(frozen=True, kw_only=True)
class VsnProfile:
    """A fit.

    Attributes:
        offsets: float64 (S,), ``a`` of each sample.
        log_factors: float64 (S,), ``b`` of each sample.
        mean: float64 (G,), ``mu`` of each gene, on the scale of arsinh; NaN where no sample has it.
        sd: sd of the noise, on the scale of arsinh.
        level: mean of ``b`` over the samples of the first fit, which ties the scale to log2 of the intensities.
        trimmed: share of the genes that fits leave out.
    """

    offsets: F64
    log_factors: F64
    mean: F64
    sd: float
    level: float
    trimmed: float = TRIMMED

    def apply(self, values: F64) -> F64:
        """Return intensities of the samples of the fit on a log2 scale: strong ones are log2(y) but for the factor.

        Args:
            values: (S, any), the same samples in the same order; the genes may be others than those of the fit.

        Raises:
            ValueError: another number of samples.
        """
        if len(values) != len(self.offsets):
            raise ValueError(f"{len(values)} samples; this profile is of {len(self.offsets)}")
        mapped = np.arcsinh(self.offsets[:, None] + np.exp(self.log_factors)[:, None] * values)
        result: F64 = (mapped - self.level) / np.log(2) - 1
        return result

    def for_samples(self, values: F64, names: Sequence[str] | None = None) -> VsnProfile:
        """Return the profile of other samples, measured as those of the fit were: their maps onto its ``mean``.

        What ``apply`` of it gives compares with what ``apply`` of this profile gives.

        Args:
            values: (any, G), NaN where not measured; genes as in the fit.
            names: (any,), what messages call the samples; None to count them.

        Raises:
            InputError: a sample shares fewer than 42 measured genes with the fit.
            ValueError: another number of genes.
        """
        if values.shape[1] != len(self.mean):
            raise ValueError(f"{values.shape[1]} genes; this profile is of {len(self.mean)}")
        shared = np.where(np.isfinite(self.mean), values, np.nan)
        offsets, log_factors, _, _ = _fitted(shared, self, self.trimmed, sample_names(len(values), names))
        return replace(self, offsets=offsets, log_factors=log_factors)

    def plain(self) -> dict[str, Any]:
        """Return arrays and numbers, as an ``.h5ad`` keeps them."""
        return {name: getattr(self, name) for name in (*_ARRAYS, *_NUMBERS)}

    @classmethod
    def from_plain(cls, kept: Mapping[str, Any]) -> VsnProfile:
        """Return what ``plain`` gave."""
        offsets, log_factors, mean = (np.asarray(kept[name], dtype=np.float64) for name in _ARRAYS)
        sd, level, trimmed = (float(kept[name]) for name in _NUMBERS)
        return cls(offsets=offsets, log_factors=log_factors, mean=mean, sd=sd, level=level, trimmed=trimmed)


def sample_names(count: int, names: Sequence[str] | None) -> Sequence[str]:
    """Return what messages call samples."""
    return [f"sample {row + 1} of {count}" for row in range(count)] if names is None else names


def fit_vsn(values: F64, trimmed: float = TRIMMED, names: Sequence[str] | None = None) -> VsnProfile:
    """Fit the maps of samples onto a common scale.

    Args:
        values: (S, G), intensities, NaN where not measured.
        trimmed: share of the genes that is left out as changed.
        names: (S,), what messages call the samples; None to count them.

    Raises:
        InputError: fewer than 2 samples, a sample with fewer than 42 genes that another sample has too, or samples that
            are the same but for a factor, so that there is no noise to measure.
    """
    if len(values) < 2:
        raise InputError(
            f"vsn compares samples and found {len(values)}; expected 2 or more, or write 'normalise: median'"
        )
    offsets, log_factors, mean, sd = _fitted(values, None, trimmed, sample_names(len(values), names))
    if sd < _LEAST_SD:
        raise InputError(
            "the samples differ by a factor only, so there is no noise for vsn to measure; write 'normalise: "
            "median', or give the intensities as they were measured"
        )
    level = float(log_factors.mean())
    return VsnProfile(offsets=offsets, log_factors=log_factors, mean=mean, sd=sd, level=level, trimmed=trimmed)


def _fitted(
    values: F64, reference: VsnProfile | None, trimmed: float, names: Sequence[str]
) -> tuple[F64, F64, F64, float]:
    """Return offsets, log factors, the mean of each gene and the spread of those used, by least trimmed squares."""
    seen_by = np.isfinite(values).sum(axis=0)
    usable = seen_by >= (2 if reference is None else 1)
    _check_measured(np.isfinite(values[:, usable]), names)
    medians = np.array([np.median(row[np.isfinite(row)]) for row in values[:, usable]])
    scaled = values / medians[:, None]
    mean = np.full(values.shape[1], np.nan) if reference is None else reference.mean
    chosen, start = usable, np.zeros(2 * len(values))
    for _ in range(_MOST_ROUNDS):
        start = _maximised(scaled[:, chosen], start, None if reference is None else (mean[chosen], reference.sd))
        a, b = start.reshape(2, -1)
        mapped = np.arcsinh(a[:, None] + np.exp(b)[:, None] * scaled)
        if reference is None:
            mean = _gene_means(mapped)
        again = _near(mapped, mean, usable, trimmed)
        if (again == chosen).all():
            break
        chosen = again
    return a, b - np.log(medians), mean, _spread(mapped[:, chosen] - mean[chosen])


def _spread(rest: F64) -> float:
    known = np.isfinite(rest)
    freedom = int(known.sum() - known.any(axis=0).sum())
    return float(np.sqrt(np.nansum(rest**2) / max(freedom, 1)))


def _check_measured(known: npt.NDArray[np.bool_], names: Sequence[str]) -> None:
    counts = known.sum(axis=1)
    if counts.min() < LEAST_GENES:
        row = int(np.argmin(counts))
        raise InputError(
            f"{names[row]} has {counts[row]} intensities of genes that other samples have too, and vsn needs "
            f"{LEAST_GENES}; write 'normalise: median', or remove the sample"
        )


def _gene_means(mapped: F64) -> F64:
    known = np.isfinite(mapped)
    counts = known.sum(axis=0)
    sums = np.where(known, mapped, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _near(mapped: F64, mean: F64, usable: npt.NDArray[np.bool_], trimmed: float) -> npt.NDArray[np.bool_]:
    """Return the usable genes that scatter least, the same share of each class of intensity."""
    known = np.isfinite(mapped)
    counts = known.sum(axis=0)
    squares = np.where(known, (mapped - mean) ** 2, 0.0).sum(axis=0) / np.maximum(counts - 1, 1)
    near = np.zeros(len(mean), dtype=np.bool_)
    places = np.flatnonzero(usable)
    classes = np.ceil(stats.rankdata(mean[places]) / len(places) * _CLASSES)
    for number in np.unique(classes):
        mine = places[classes == number]
        near[mine] = squares[mine] <= np.quantile(squares[mine], 1 - trimmed)
    return near


def _maximised(scaled: F64, start: F64, reference: tuple[F64, float] | None) -> F64:
    """Return ``a`` and ``b`` of each sample, (2 S,), that make the intensities most likely."""
    known = np.isfinite(scaled)
    filled = np.where(known, scaled, 0.0)
    bounds = [(None, None)] * len(scaled) + [(-_STEEPEST, _STEEPEST)] * len(scaled)
    found = optimize.minimize(
        negative_log_likelihood,
        start,
        args=(filled, known, reference),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _MOST_STEPS, "ftol": 1e-11, "gtol": 1e-7, "maxcor": 20},
    )
    result: F64 = found.x
    return result


def negative_log_likelihood(
    parameters: F64, values: F64, known: npt.NDArray[np.bool_], reference: tuple[F64, float] | None
) -> tuple[float, F64]:
    """Return minus the log likelihood per measured value, but for constants, and its gradient.

    Args:
        parameters: (2 S,), ``a`` of each sample, then ``b``.
        values: (S, G), any number where ``known`` is false.
        known: (S, G), what was measured.
        reference: ``mu`` (G,) and ``sd`` of an earlier fit; None to put both at their maximum.
    """
    a, b = parameters.reshape(2, -1)
    weight = known.astype(np.float64)
    steep = np.exp(b)[:, None] * values
    z = a[:, None] + steep
    root = np.sqrt(1 + z * z)
    mapped = np.copysign(np.log(np.abs(z) + root), z)  # arsinh, in a third of the time of numpy's
    n, per_sample = max(int(known.sum()), 1), weight.sum(axis=1)
    of_genes = (weight * mapped).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
    mean = of_genes if reference is None else reference[0]
    rest = weight * (mapped - mean)
    squares = float((rest * rest).sum())
    jacobian = float(per_sample @ b - (weight * np.log(root)).sum())
    if reference is None:
        variance = max(squares / n, _LEAST_SD**2)
        value = 0.5 * n * np.log(variance) - jacobian
    else:
        variance = reference[1] ** 2
        value = 0.5 * squares / variance - jacobian
    slope = (rest / variance + weight * z / root) / root
    gradient = np.concatenate([slope.sum(axis=1), (slope * steep).sum(axis=1) - per_sample])
    return value / n, gradient / n
