"""Embeddings of several stimulations or batches made comparable, and how comparable they are.

CORAL (Sun, Feng and Saenko 2016): a linear map gives one set of vectors the mean and the covariance of another. As in
Image2Omics, the map of a stimulation is fitted on its control wells, towards the control wells of all stimulations, and
moves all wells of that stimulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError
from framework.evaluate.metrics import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Coral:
    """A fitted map.

    Attributes:
        from_mean, to_mean: (D,).
        matrix: (D, D); a row vector is multiplied by it from the right.
    """

    from_mean: Floats
    to_mean: Floats
    matrix: Floats

    @classmethod
    def fit(cls, source: npt.ArrayLike, target: npt.ArrayLike, ridge: float = 1.0, *, means: bool = True) -> Coral:
        """Fit the map from ``source`` (n, D) to ``target`` (m, D).

        Args:
            source, target: finite vectors, two or more each.
            ridge: added to the diagonal of both covariances; 1 in the publication. It is what makes fewer vectors than
                dimensions usable; with 0 the covariances become equal, where there are enough vectors.
            means: whether the mean becomes that of the target; the publication moves covariances alone.

        Raises:
            InputError: too few vectors, vectors of other lengths, or such that are not finite.
        """
        left, right = _vectors(source, "source"), _vectors(target, "target")
        if left.shape[1] != right.shape[1]:
            raise InputError(
                f"CORAL: source vectors are {left.shape[1]} long, target vectors {right.shape[1]}; expected one length"
            )
        centre = left.mean(axis=0)
        to_mean = right.mean(axis=0) if means else centre
        return cls.between(_covariance(left), _covariance(right), ridge, from_mean=centre, to_mean=to_mean)

    @classmethod
    def between(cls, source: Floats, target: Floats, ridge: float, *, from_mean: Floats, to_mean: Floats) -> Coral:
        """Return the map between two covariances.

        Args:
            source, target: (D, D), symmetric, without negative eigenvalues.
            ridge: as for ``fit``.
            from_mean, to_mean: (D,).
        """
        unit = ridge * np.eye(len(source))
        matrix: Floats = _power(source + unit, -0.5) @ _power(target + unit, 0.5)
        return cls(from_mean=from_mean, to_mean=to_mean, matrix=matrix)

    def apply(self, vectors: npt.ArrayLike) -> Floats:
        """Return mapped vectors (n, D)."""
        moved: Floats = (np.asarray(vectors, dtype=np.float64) - self.from_mean) @ self.matrix + self.to_mean
        return moved


def align_groups(
    vectors: npt.ArrayLike, groups: npt.ArrayLike, is_control: npt.ArrayLike, ridge: float = 1.0
) -> Floats:
    """Map the vectors of each group so that its controls lie like the controls of all groups.

    Args:
        vectors: (n, D).
        groups: (n,) stimulation (or batch) of each row.
        is_control: (n,) whether a row is a non-targeting control.
        ridge: as for ``Coral.fit``.

    Returns:
        (n, D) float64; controls of each group have the mean of all controls.

    Raises:
        InputError: a group with fewer than two controls, or as ``Coral.fit``.
    """
    values, names = np.asarray(vectors, dtype=np.float64), np.asarray(groups).astype(str)
    controls = np.asarray(is_control, dtype=np.bool_)
    if not len(values) == len(names) == len(controls):
        raise InputError(
            f"CORAL: {len(values)} vectors, {len(names)} groups and {len(controls)} controls; expected one of each per "
            "row"
        )
    moved = np.empty_like(values)
    for name in np.unique(names):
        mine = names == name
        if (mine & controls).sum() < 2:
            raise InputError(
                f"CORAL: group '{name}' has {int((mine & controls).sum())} control row(s), expected two or more; name "
                "the controls in the plate map, or leave the group out"
            )
        moved[mine] = Coral.fit(values[mine & controls], values[controls], ridge).apply(values[mine])
    return moved


def batch_in_components(vectors: npt.ArrayLike, batches: npt.ArrayLike, components: int = 10) -> pd.DataFrame:
    """Say how much of the leading principal components is a matter of the batch: for controls before and after it.

    Args:
        vectors: (n, D), one per well.
        batches: (n,) batch of each.
        components: at most so many.

    Returns:
        One row per component: ``component`` (from 1), ``variance_share`` (of all variance) and ``batch_share``, the
        share of the component's variance that lies between batches (eta squared, 0..1).

    Raises:
        InputError: fewer than two vectors, or such that are not finite.
    """
    values, names = _vectors(vectors, "the table"), np.asarray(batches).astype(str)
    centred = values - values.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(components, int((singular > singular[0] * 1e-10).sum())) if singular[0] > 0 else 0
    scores = left[:, :kept] * singular[:kept]
    codes, places = np.unique(names, return_inverse=True)
    counts = np.bincount(places, minlength=len(codes))
    sums = np.zeros((len(codes), kept))
    np.add.at(sums, places, scores)
    between = (sums**2 / counts[:, None]).sum(axis=0)
    squares = singular**2
    return pd.DataFrame(
        {
            "component": np.arange(1, kept + 1),
            "variance_share": squares[:kept] / max(squares.sum(), np.finfo(np.float64).tiny),
            "batch_share": between / squares[:kept],
        }
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class CanonicalCorrelations:
    """What two sets of features of the same rows have in common (Hotelling 1936).

    Attributes:
        correlations: (k,) of the canonical variates, decreasing.
        left, right: (p, k) and (q, k) Pearson correlation of each feature with its own variates; NaN for a constant.
        variates: two of (n, k), of the left and of the right table; centred, of length 1.
    """

    correlations: Floats
    left: Floats
    right: Floats
    variates: tuple[Floats, Floats]


def canonical_correlations(
    left: npt.ArrayLike, right: npt.ArrayLike, components: int | None = None
) -> CanonicalCorrelations:
    """Correlate two sets of features, as embeddings and interpretable features of the same wells.

    Args:
        left, right: (n, p) and (n, q), finite.
        components: so many principal components of each standardised table take part at most; None: all.

    Raises:
        InputError: other numbers of rows, no feature that varies, or so few rows that any two sets correlate fully.
    """
    sides = [_vectors(side, name) for side, name in ((left, "the left table"), (right, "the right table"))]
    if len(sides[0]) != len(sides[1]):
        raise InputError(f"CCA: {len(sides[0])} and {len(sides[1])} rows; expected the same rows in both tables")
    bases = [_basis(side)[:, :components] for side in sides]
    ranks = [basis.shape[1] for basis in bases]
    if not min(ranks):
        raise InputError("CCA: one table has no feature that varies")
    if len(sides[0]) <= sum(ranks) + 1:
        raise InputError(
            f"CCA: {len(sides[0])} rows for {ranks[0]} and {ranks[1]} independent features always correlate "
            "fully; use more wells, or fewer principal components of each table"
        )
    u, correlations, v = np.linalg.svd(bases[0].T @ bases[1], full_matrices=False)
    variates = (bases[0] @ u, bases[1] @ v.T)
    loadings = [_loadings(side, variate) for side, variate in zip(sides, variates, strict=True)]
    return CanonicalCorrelations(
        correlations=np.clip(correlations, 0.0, 1.0), left=loadings[0], right=loadings[1], variates=variates
    )


def _vectors(values: npt.ArrayLike, what: str) -> Floats:
    vectors = np.asarray(values, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) < 2:
        raise InputError(f"{what}: expected two or more rows of features, found shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        row, column = np.argwhere(~np.isfinite(vectors))[0]
        raise InputError(f"{what}: row {row + 1}, feature {column + 1} is {vectors[row, column]}; expected a number")
    return vectors


def _covariance(vectors: Floats) -> Floats:
    covariance: Floats = np.cov(vectors, rowvar=False, ddof=1).reshape(vectors.shape[1], vectors.shape[1])
    return covariance


def _power(symmetric: Floats, exponent: float) -> Floats:
    """Return a power of a positive matrix; directions without variance, where there is no ridge, stay without."""
    values, directions = np.linalg.eigh(symmetric)
    usable = values > max(values.max(), 0.0) * 1e-10
    powers = np.where(usable, np.where(usable, values, 1.0) ** exponent, 0.0)
    raised: Floats = (directions * powers) @ directions.T
    return raised


def _basis(values: Floats) -> Floats:
    """Return orthonormal columns that span the centred, standardised features."""
    centred = values - values.mean(axis=0)
    sd = centred.std(axis=0)
    varying = sd > 1e-12 * np.maximum(np.abs(values).max(axis=0), np.finfo(np.float64).tiny)
    left, singular, _ = np.linalg.svd(centred[:, varying] / sd[varying], full_matrices=False)
    kept: Floats = left[:, singular > 1e-10 * max(singular.max(initial=0.0), np.finfo(np.float64).tiny)]
    return kept


def _loadings(values: Floats, variates: Floats) -> Floats:
    centred = values - values.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    # Variates are centred and of length 1.
    found: Floats = np.divide(
        centred.T @ variates, lengths[:, None], out=np.full((values.shape[1], variates.shape[1]), np.nan),
        where=lengths[:, None] > 0,
    )  # fmt: skip
    return found
