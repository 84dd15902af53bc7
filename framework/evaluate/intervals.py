"""How sure a score is: quantiles over splits, bootstrap over cells, Fisher's interval, and the key that parts folds.

The authors of Image2Omics merged predictions of several splits on (plate, well, gene) without the seed, which pairs a
train well of one split with a test well of another. Here a split is keyed by (seed, perturbation), and checked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError
from framework.evaluate.metrics import Floats, pearson

LOW, HIGH = 0.025, 0.975
_RESAMPLED_VALUES = 4_000_000
"""Bootstrap draws held at a time: 32 MB."""


def over_splits(table: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Summarise each column over splits.

    Args:
        table: one row for each split and key.
        keys: columns that name a row whatever the split, as target and gene.
        columns: numeric columns.

    Returns:
        One row per key, in order of first appearance: the keys, then ``c`` (median), ``c_low`` and ``c_high`` (2.5 and
        97.5 % quantiles; equal to the median when there is one split) for each column; NaNs are left out.
    """
    groups = table.groupby(list(keys), sort=False, observed=True, dropna=False)[list(columns)]
    parts = [groups.median()]
    for quantile, suffix in ((LOW, "_low"), (HIGH, "_high")):
        parts.append(groups.quantile(quantile).add_suffix(suffix))
    joined = pd.concat(parts, axis=1)
    ordered = [column + suffix for column in columns for suffix in ("", "_low", "_high")]
    return joined[ordered].reset_index()


def quantile_interval(values: npt.ArrayLike) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % quantiles of ``values`` without NaNs; NaNs when nothing is left."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [LOW, HIGH])
    return float(low), float(high)


def difference_draws(value: float, resampled: npt.ArrayLike) -> Floats:
    """Return resampled differences about their own median, put on the difference itself.

    Percentiles as they are (Efron and Tibshirani 1993) would leave the value out where rows are few: a resample of ten
    conditions holds about six, r of each column scatters more there, and where a third of the columns can be predicted
    their median rises.

    Args:
        value: the difference of two scores.
        resampled: (R,) the same difference on each resample, NaN where it is not defined.
    """
    apart = np.asarray(resampled, dtype=np.float64)
    if np.isnan(apart).all():
        return apart
    moved: Floats = apart - np.nanmedian(apart) + value
    return moved


def difference_interval(value: float, resampled: npt.ArrayLike) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two scores; it lies about ``value`` (``difference_draws``)."""
    return quantile_interval(difference_draws(value, resampled))


def check_one_row_per_key(table: pd.DataFrame, keys: Sequence[str], what: str) -> None:
    """Refuse a table in which a key appears twice.

    Raises:
        InputError: naming the first repeated key.
    """
    repeated = table.duplicated(list(keys))
    if repeated.any():
        first = table.loc[repeated, list(keys)].iloc[0]
        shown = ", ".join(f"{key}={first[key]}" for key in keys)
        raise InputError(
            f"{what}: expected one row for each ({', '.join(keys)}), found {int(repeated.sum())} repeated, first "
            f"{shown}; "
            "predictions of several splits must not be merged into one table without the seed of the split"
        )


def split_table(seed: str, values: pd.Series, parts: pd.Series, what: str) -> pd.DataFrame:
    """Return (seed, value, part), one row for each value the split is made by.

    Args:
        seed: key of the split.
        values: what was split by (perturbation) of each bag.
        parts: ``train``, ``val`` or ``test`` of each bag.
        what: name of the predictions, for messages.

    Raises:
        InputError: a value lies in two parts, so that its replicates leak from train to test.
    """
    pairs = pd.DataFrame({"seed": seed, "value": values.astype(str).to_numpy(), "part": parts.astype(str).to_numpy()})
    distinct = pairs.drop_duplicates(ignore_index=True)
    twice = distinct[distinct.duplicated(["seed", "value"], keep=False)]
    if len(twice):
        value = twice["value"].iloc[0]
        found = sorted(twice.loc[twice["value"] == value, "part"])
        raise InputError(
            f"{what}: '{value}' stands in the parts {' and '.join(found)} of split {seed}; expected each value of "
            f"'{values.name}' in one part, otherwise replicates that share labels leak from train to test"
        )
    return distinct


def bootstrap_pearson(
    predicted: npt.ArrayLike, measured: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000
) -> tuple[float, float, float]:
    """Return (2.5 % quantile, 97.5 % quantile, standard deviation) of Pearson's r over resampled pairs.

    Args:
        predicted: (n,), NaN where unknown.
        measured: (n,), NaN where unknown.
        seed: seed of the resampling; equal seeds give equal intervals.
        resamples: how many samples of n pairs are drawn with replacement.

    Returns:
        NaNs when r itself is undefined. Resamples with a constant column do not count.
    """
    left = np.asarray(predicted, dtype=np.float64)
    right = np.asarray(measured, dtype=np.float64)
    known = ~(np.isnan(left) | np.isnan(right))
    left, right = left[known], right[known]
    low, high, sd = bootstrap_columns(left[:, None], right[:, None], seed=seed, resamples=resamples)
    return float(low[0]), float(high[0]), float(sd[0])


def bootstrap_columns(
    predicted: npt.ArrayLike, measured: npt.ArrayLike, *, seed: int = 0, resamples: int = 10_000
) -> tuple[Floats, Floats, Floats]:
    """Return (2.5 % quantile, 97.5 % quantile, standard deviation) of each column's r, (G,) each.

    Rows are resampled, so all columns see the same draws: one multiplication a chunk serves them all.

    Args:
        predicted, measured: (n, G) without NaN.
        seed, resamples: as for ``bootstrap_pearson``.

    Returns:
        NaNs where r itself is undefined.
    """
    left = np.array(predicted, dtype=np.float64)
    right = np.array(measured, dtype=np.float64)
    none = np.full(left.shape[1], np.nan)
    defined = ~np.isnan(pearson(left, right)) if len(left) > 1 else np.zeros(left.shape[1], dtype=np.bool_)
    if not defined.any():
        return none, none.copy(), none.copy()
    # Standardised first: the moments below would otherwise cancel.
    left, right = ((side - side.mean(axis=0)) / side.std(axis=0) for side in (left[:, defined], right[:, defined]))
    random = np.random.default_rng(seed)
    chunk = max(1, _RESAMPLED_VALUES // len(left))
    sizes = [min(chunk, resamples - start) for start in range(0, resamples, chunk)]
    moments = np.concatenate([left, right, left**2, right**2, left * right], axis=1)
    r = np.concatenate([_resampled_r(moments, size, random) for size in sizes])
    results = []
    for values in (np.nanquantile(r, LOW, axis=0), np.nanquantile(r, HIGH, axis=0), np.nanstd(r, axis=0)):
        full = none.copy()
        full[defined] = values
        results.append(full)
    return results[0], results[1], results[2]


def fisher_interval(r: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a Pearson r of n pairs by Fisher's z; NaNs for n < 4 or an undefined r."""
    if n < 4 or np.isnan(r):
        return float("nan"), float("nan")
    if abs(r) >= 1:
        return float(r), float(r)
    middle, half = np.arctanh(r), 1.959963984540054 / np.sqrt(n - 3)
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def _resampled_r(moments: Floats, resamples: int, random: np.random.Generator) -> Floats:
    """Return (resamples, G) for moments (n, 5 G): x, y, xx, yy, xy of all columns; NaN where a side is constant."""
    n = len(moments)
    drawn = random.integers(0, n, size=(resamples, n))
    drawn += np.arange(resamples)[:, None] * n
    counts = np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)
    x, y, xx, yy, xy = np.split(counts @ moments / n, 5, axis=1)
    spread = (xx - x * x) * (yy - y * y)
    varies = spread > 1e-20
    r: Floats = np.full(spread.shape, np.nan)
    r[varies] = np.clip((xy - x * y)[varies] / np.sqrt(spread[varies]), -1.0, 1.0)
    return r
