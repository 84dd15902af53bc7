"""Per-column scores of predictions: pure arithmetic over (wells, genes) arrays, one number per gene.

Every function takes ``predicted`` and ``measured`` of equal shape (n, G), ignores pairs where either is NaN, and
returns float64 (G,). A score that is undefined (fewer than two pairs, a constant column under a correlation) is NaN and
never a number that looks like a result.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]


def paired(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return both as float64 (n, G) with NaN in both wherever either is NaN.

    Raises:
        ValueError: the shapes differ or are not (n, G).
    """
    left = np.array(predicted, dtype=np.float64)
    right = np.array(measured, dtype=np.float64)
    if left.shape != right.shape or left.ndim != 2:
        raise ValueError(f"expected two arrays of one shape (n, G), found {left.shape} and {right.shape}")
    unknown = np.isnan(left) | np.isnan(right)
    left[unknown] = np.nan
    right[unknown] = np.nan
    return left, right


def smape_terms(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return the summands of SMAPE, ``100 |p - t| / (|p| + |t|)`` in 0..100, (n, G); NaN stays NaN.

    Image2Omics, "Evaluation", without the factor 2 other texts have; a gene's SMAPE is their mean (``column_mean``).

    0/0 counts 0: a prediction of 0 for a measured 0 is exactly right. In the authors' code it is NaN, and one such well
    takes the gene's SMAPE and p from the whole split.
    """
    left, right = paired(predicted, measured)
    size = np.abs(left) + np.abs(right)
    nothing = np.where(np.isnan(size), np.nan, 0.0)
    terms: Floats = 100.0 * np.divide(np.abs(left - right), size, out=nothing, where=size > 0)
    return terms


def pearson(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return Pearson's r of each column, (n, G) -> (G,) in -1..1.

    NaN where either column is constant or has fewer than two pairs.
    """
    left, right = paired(predicted, measured)
    varies = _varies(left) & _varies(right)
    left = left - column_mean(left)
    right = right - column_mean(right)
    scale = np.sqrt(np.nansum(left**2, axis=0)) * np.sqrt(np.nansum(right**2, axis=0))
    product = np.nansum(left * right, axis=0)
    r = np.divide(product, scale, out=np.full(len(scale), np.nan), where=varies & (scale > 0))
    clipped: Floats = np.clip(r, -1.0, 1.0)
    return clipped


def r2(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return the squared Pearson correlation, (n, G) -> (G,) in 0..1.

    It is the paper's r2: never negative, and blind to slope and offset.
    """
    squared: Floats = pearson(predicted, measured) ** 2
    return squared


def spearman(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return Spearman's rank correlation, (n, G) -> (G,) in -1..1; ties at their mean rank, NaN as ``pearson``."""
    left, right = paired(predicted, measured)
    return pearson(_ranks(left), _ranks(right))


def rmse(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return the root mean squared error, (n, G) -> (G,), in the unit of the column."""
    left, right = paired(predicted, measured)
    root: Floats = np.sqrt(column_mean((left - right) ** 2))
    return root


def mae(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> Floats:
    """Return the mean absolute error, (n, G) -> (G,), in the unit of the column."""
    left, right = paired(predicted, measured)
    return column_mean(np.abs(left - right))


def column_mean(values: Floats) -> Floats:
    """Return the mean over rows (n, G) -> (G,) without NaNs; NaN for a column that has nothing else."""
    count = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0)
    mean: Floats = np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)
    return mean


def median_of_known(values: pd.Series) -> float:
    """Return the median without NaNs; NaN where there is nothing else."""
    known = values.dropna()
    return float(known.median()) if len(known) else float("nan")


def _varies(values: Floats) -> npt.NDArray[np.bool_]:
    if len(values) == 0:
        return np.zeros(values.shape[1], dtype=np.bool_)
    # fmin and fmax skip NaN; an all-NaN column compares False.
    different: npt.NDArray[np.bool_] = np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0)
    return different


def _ranks(values: Floats) -> Floats:
    unknown = np.isnan(values)
    # Unknown entries go last, so they take no rank away from known ones.
    ranks = np.asarray(rankdata(np.where(unknown, np.inf, values), axis=0), dtype=np.float64)
    ranks[unknown] = np.nan
    return ranks
