"""Is a model better than a baseline: both are scored on the same resamples of the same rows.

Score of a table of predictions: Pearson's r per column, the median over columns; a constant prediction has r = 0. Rows
that share labels are resampled together (Field and Welsh 2007, the cluster bootstrap), model and baseline on the same
draws. The interval is that of the difference (``difference_draws``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.evaluate.intervals import difference_draws, quantile_interval

Floats = npt.NDArray[np.float64]
_DRAWS_AT_ONCE = 100
_LEAST_SPREAD = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Predictions of one split beside what was measured.

    Attributes:
        predicted: (n, P).
        measured: (n, P), NaN where unknown.
        units: (n,) text, rows of one unit are resampled together; the same text is the same unit in every split.
    """

    predicted: Floats
    measured: Floats
    units: npt.NDArray[np.object_]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """By how much a model is above a baseline.

    Attributes:
        value: score of the model less that of the baseline.
        low, high: 95 % interval.
        p: two-sided, of the bootstrap; not less than 1 over the number of draws.
    """

    value: float
    low: float
    high: float
    p: float

    @property
    def verdict(self) -> str:
        """``above``, ``level with`` or ``below``: whether the interval leaves 0 out."""
        return "above" if self.low > 0 else "below" if self.high < 0 else "level with"

    def plain(self) -> dict[str, float | str]:
        """Return it as columns of a row of baselines."""
        return {
            "difference": self.value,
            "difference_low": self.low,
            "difference_high": self.high,
            "p": self.p,
            "verdict": self.verdict,
        }


def column_scores(item: Scored) -> Floats:
    """Return r of each column, (P,); 0 where predictions are constant, NaN where nothing was measured twice."""
    moments = _moments(item, np.arange(len(item.units)))
    of_all: Floats = _r(moments.sum(axis=0)[None])[0]
    return of_all


def score(splits: Sequence[Scored]) -> float:
    """Return the median over columns of r, the mean over splits."""
    return float(np.mean([np.nanmedian(column_scores(item)) for item in splits]))


def draws(splits: Sequence[Scored], resamples: int, seed: int = 0) -> Floats:
    """Return the score on each resample, (resamples,); equal seeds and units give equal draws."""
    names = np.unique(np.concatenate([item.units for item in splits]).astype(str))
    random = np.random.default_rng(seed)
    moments, places = [], []
    for item in splits:
        own, place = np.unique(item.units.astype(str), return_inverse=True)
        moments.append(_moments(item, place))
        places.append(np.searchsorted(names, own))
    found = []
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        number = min(_DRAWS_AT_ONCE, resamples - start)
        counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=number).astype(np.float64)
        each = [_median_r(counts[:, place], of) for place, of in zip(places, moments, strict=True)]
        found.append(np.mean(each, axis=0))
    return np.concatenate(found)


def difference(model: float, baseline: float, of_model: Floats, of_baseline: Floats) -> Difference:
    """Return the difference of two scores and its interval, from draws of both."""
    value = model - baseline
    apart = difference_draws(value, of_model - of_baseline)
    low, high = quantile_interval(apart)
    share = min(float((apart <= 0).mean()), float((apart >= 0).mean()))
    return Difference(value=value, low=low, high=high, p=min(1.0, max(2 * share, 1 / len(apart))))


def _median_r(counts: Floats, moments: Floats) -> Floats:
    """(R, U) counts, (U, P, 6) moments -> (R,)."""
    units, columns, _ = moments.shape
    sums = (counts @ moments.reshape(units, -1)).reshape(len(counts), columns, 6)
    r = _r(sums)
    # A draw in which no column varies says nothing of either predictor.
    r[np.isnan(r).all(axis=1)] = 0.0
    return np.asarray(np.nanmedian(r, axis=1))


def _moments(item: Scored, place: npt.NDArray[np.int64]) -> Floats:
    """Return sums per unit of 1, x, y, xx, yy and xy over known pairs, (U, P, 6); both sides standardised first."""
    known = np.isfinite(item.measured) & np.isfinite(item.predicted)
    sides = [np.where(known, each, np.nan) for each in (item.predicted, item.measured)]
    x, y = (np.nan_to_num(_standard(side)) for side in sides)
    stacked = np.stack([known.astype(np.float64), x, y, x * x, y * y, x * y], axis=2)
    sums = np.zeros((int(place.max()) + 1, *stacked.shape[1:]))
    np.add.at(sums, place, stacked)
    return sums


def _standard(side: Floats) -> Floats:
    counted = np.maximum(np.isfinite(side).sum(axis=0), 1)
    centred = side - np.nansum(side, axis=0) / counted
    spread = np.sqrt(np.nansum(centred**2, axis=0) / counted)
    # A prediction of one value has rounding errors for a spread, which must not look like a prediction.
    constant = ~(spread > 1e-9 * np.maximum(np.nanmax(np.abs(np.nan_to_num(side)), axis=0), _LEAST_SPREAD))
    scaled: Floats = centred / np.where(constant, 1.0, spread)
    scaled[:, constant] = np.where(np.isfinite(side[:, constant]), 0.0, np.nan)
    return scaled


def _r(sums: Floats) -> Floats:
    """(R, P, 6) -> (R, P)."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, 2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_x, of_y = xx - x * x / n, yy - y * y / n
        r = np.clip((xy - x * y / n) / np.sqrt(of_x * of_y), -1.0, 1.0)
    r = np.where(of_x > _LEAST_SPREAD * n, r, 0.0)
    return np.where((n > 1) & (of_y > _LEAST_SPREAD * n), r, np.nan)
