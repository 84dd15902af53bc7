"""Ordinary least squares of many binary columns, with the standard errors, t and p of each coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.sparse import csc_array
from scipy.stats import t as student

from framework.errors import InputError

Floats = npt.NDArray[np.float64]
_DEPENDENT = 1e-9
"""A column of which the others leave less than this share unexplained is one that they explain."""
_INTERVAL = 0.95


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted linear model.

    Attributes:
        terms: one row per column that can be told: ``term``, ``beta``, ``se``, ``t``, ``p`` (two-sided), ``low`` and
            ``high`` (95 % interval).
        dropped: columns that the others explain.
        rows: observations.
        degrees: degrees of freedom of the residuals.
        r2: share of the variance that the model explains.
    """

    terms: pd.DataFrame
    dropped: tuple[str, ...]
    rows: int
    degrees: int
    r2: float


def least_squares(columns: Floats | csc_array, names: Sequence[str], values: Floats) -> Fit:
    """Fit ``values`` = intercept + columns @ beta.

    A constant column, and one that others explain, is dropped and named: its coefficient cannot be told.

    Args:
        columns: (n, P), dense or sparse; memory grows with the entries that are not zero, and with P squared.
        names: names of the columns.
        values: (n,).

    Raises:
        InputError: fewer observations than coefficients.
    """
    sparse = csc_array(columns)
    n, mean = len(values), np.asarray(sparse.mean(axis=0)).ravel()
    wanted = values - values.mean()
    gram = (sparse.T @ sparse).toarray() - n * np.outer(mean, mean)
    sizes = np.sqrt(np.clip(np.diag(gram), 0, None))
    varies = np.flatnonzero(sizes > _DEPENDENT * np.sqrt(n))
    kept = varies[_independent(gram[np.ix_(varies, varies)] / np.outer(sizes[varies], sizes[varies]))]
    degrees = n - len(kept) - 1
    if degrees < 1:
        raise InputError(f"a linear model of {len(kept) + 1} coefficients needs more than {n} genes")
    used = sparse[:, kept]
    inverse = cho_solve(cho_factor(gram[np.ix_(kept, kept)]), np.eye(len(kept)))
    beta = inverse @ (used.T @ wanted)
    # Once more on what is left: that takes out the rounding of the normal equations.
    beta += inverse @ (used.T @ _residual(used, mean[kept], beta, wanted))
    residual = _residual(used, mean[kept], beta, wanted)
    left = float((residual**2).sum())
    error = np.sqrt(left / degrees * np.diag(inverse))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = beta / error
    half = float(student.ppf(0.5 + _INTERVAL / 2, degrees)) * error
    terms = pd.DataFrame(
        {
            "term": [names[place] for place in kept],
            "beta": beta,
            "se": error,
            "t": ratio,
            "p": 2 * student.sf(np.abs(ratio), degrees),
            "low": beta - half,
            "high": beta + half,
        }
    )
    total = float((wanted**2).sum())
    places = set(kept.tolist())
    dropped = tuple(name for place, name in enumerate(names) if place not in places)
    explained = 1 - left / total if total > 0 else float("nan")
    return Fit(terms=terms, dropped=dropped, rows=n, degrees=degrees, r2=explained)


def _residual(columns: csc_array, mean: Floats, beta: Floats, wanted: Floats) -> Floats:
    residual: Floats = wanted - (columns @ beta - mean @ beta)
    return residual


def _independent(gram: Floats) -> npt.NDArray[np.int64]:
    """Return which columns of a Gram matrix with ones on its diagonal are independent, increasing."""
    if not len(gram):
        return np.zeros(0, dtype=np.int64)
    _, pivots, rank, _ = lapack.dpstrf(gram, tol=_DEPENDENT)
    return np.sort(pivots[:rank].astype(np.int64) - 1)
