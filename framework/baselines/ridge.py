"""Ridge regression whose strength is chosen on training rows alone: the same for every baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from framework.evaluate.metrics import pearson

Floats = npt.NDArray[np.float64]
STRENGTHS = tuple(float(value) for value in np.logspace(-2, 8, 21))
"""From nearly least squares to nearly the mean, for features of variance 1."""
_MOST_FEATURES = 1024
_COMPONENTS = 512


@dataclass(frozen=True, kw_only=True)
class RidgeFit:
    """What a regression says.

    Attributes:
        predicted: (t, P), of the test rows.
        strength: the chosen one; infinite where there is no feature, which leaves the mean.
        features: numbers per row that it saw.
    """

    predicted: Floats
    strength: float
    features: int


def ridge(
    train: Floats,
    labels: Floats,
    test: Floats,
    groups: npt.NDArray[np.int64],
    folds: int = 5,
    *,
    strengths: tuple[float, ...] = STRENGTHS,
    by: Literal["error", "r"] = "error",
) -> RidgeFit:
    """Fit on training rows, predict test rows.

    Features are standardised on the training rows; constant ones are left out, and NaN becomes the mean. More than 1024
    become their first 512 principal components. The strength is chosen over folds of the training rows, where rows of a
    group are never in two folds (Hastie et al. 2009, 7.10).

    Args:
        train: (n, D) features.
        labels: (n, P); NaN, where a row lacks one, counts as the mean of the column.
        test: (t, D).
        groups: int64 (n,), rows that must stay together.
        folds: >= 2; fewer where there are fewer groups.
        strengths: to choose from.
        by: ``error``: the strength of the least squared error over folds, each column over its variance; ``r``: that of
            the largest median over columns of Pearson's r, the mean over folds.

    Returns:
        Predictions of the test rows.
    """
    centre = np.nanmean(labels, axis=0)
    spread = np.nanstd(labels, axis=0)
    spread[~(spread > 0)] = 1.0
    target = np.nan_to_num((labels - centre) / spread)
    x, seen, reduced = _prepared(train, test)
    if not x.shape[1]:
        return RidgeFit(predicted=np.repeat(centre[None], len(test), axis=0), strength=float("inf"), features=0)
    fold_of = _folds(groups, folds)
    missed = np.zeros((len(strengths), target.shape[1]))
    for fold in range(int(fold_of.max()) + 1):
        held = fold_of == fold
        # Components keep their sizes, which say how much of the features each holds.
        inner, outer = (x[~held], x[held]) if reduced else _standard(x[~held], x[held])
        every = _path(inner, target[~held], outer, strengths)
        missed += [_missed(said, target[held], by) for said in every]
    over_columns = missed.sum(axis=1) if by == "error" else np.median(missed, axis=1)
    chosen = strengths[int(over_columns.argmin())]
    (said,) = _path(x, target, seen, (chosen,))
    return RidgeFit(predicted=said * spread + centre, strength=chosen, features=x.shape[1])


def _missed(said: Floats, target: Floats, by: Literal["error", "r"]) -> Floats:
    """Return how bad predictions (n, P) are, (P,): squared errors, or -r, which is 0 where they are constant."""
    missed: Floats = ((said - target) ** 2).sum(axis=0) if by == "error" else -np.nan_to_num(pearson(said, target))
    return missed


def _prepared(train: Floats, test: Floats) -> tuple[Floats, Floats, bool]:
    """Return both standardised on the training rows, and whether principal components took the place of features."""
    if not train.shape[1]:
        return train, test, False
    known = np.isfinite(train).any(axis=0)
    train, test = (np.where(np.isfinite(each), each, np.nan)[:, known] for each in (train, test))
    both = _standard(train, test)
    if both[0].shape[1] <= _MOST_FEATURES:
        return *both, False
    number = min(_COMPONENTS, len(train) - 1)
    found = PCA(number, svd_solver="randomized", random_state=0).fit(both[0])
    train, test = (found.transform(each) for each in both)
    scale = train.std(axis=0)[0]
    return train / scale, test / scale, True


def _standard(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Return both with mean 0 and sd 1 on the training rows; constant features are left out, NaN becomes the mean."""
    mean, sd = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    varies = sd > 1e-9 * np.maximum(np.abs(mean), 1e-9)
    first, second = (np.nan_to_num((each[:, varies] - mean[varies]) / sd[varies]) for each in (train, test))
    return first, second


def _folds(groups: npt.NDArray[np.int64], folds: int) -> npt.NDArray[np.int64]:
    """Return the fold of each row; groups are dealt in a drawn order, so that sizes are about equal."""
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        place = np.arange(len(groups))
        names = place
    order = np.random.default_rng(0).permutation(len(names))
    dealt = np.empty(len(names), dtype=np.int64)
    dealt[order] = np.arange(len(names)) % min(folds, len(names))
    return dealt[place]


def _path(train: Floats, target: Floats, test: Floats, strengths: tuple[float, ...]) -> list[Floats]:
    """Return predictions (t, P) for each strength, from one decomposition."""
    x_mean, y_mean = train.mean(axis=0), target.mean(axis=0)
    x, y, seen = train - x_mean, target - y_mean, test - x_mean
    if x.shape[1] <= x.shape[0]:
        values, vectors = np.linalg.eigh(x.T @ x)
        left, right = seen @ vectors, vectors.T @ (x.T @ y)
    else:
        values, vectors = np.linalg.eigh(x @ x.T)
        left, right = (seen @ x.T) @ vectors, vectors.T @ y
    values = np.maximum(values, 0.0)
    return [(left / (values + strength)) @ right + y_mean for strength in strengths]
