"""Classic features of single cells: intensities, correlation with structure channels, Haralick textures.

The baselines that learned features are compared with. Plain arithmetic on pixels, one row per cell, the same numbers
whatever cells are measured together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STATISTICS = ("mean", "sd", "p10", "median", "p90")
HARALICK = (
    "asm",
    "contrast",
    "correlation",
    "variance",
    "inverse_difference_moment",
    "sum_average",
    "sum_variance",
    "sum_entropy",
    "entropy",
    "difference_variance",
    "difference_entropy",
    "information_correlation_1",
    "information_correlation_2",
)
"""The thirteen stable ones of the fourteen; the last of Haralick 1973 needs eigenvalues and nobody uses it."""
SCALES_PX = (1, 2, 4, 8, 16)
_DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
_COUNTS = 1 << 20
"""Co-occurrence counts held at a time: 8 MB, near the caches."""


def crop_range(tiles: npt.ArrayLike) -> Floats:
    """Return tiles (n, C, H, W) with every channel of every crop scaled to 0..1; a constant one becomes 0.

    Source: Lu 2019, "Datasets, preprocessing, and training".
    """
    values = np.asarray(tiles, dtype=np.float64)
    low = values.min(axis=(2, 3), keepdims=True)
    span = values.max(axis=(2, 3), keepdims=True) - low
    scaled: Floats = (values - low) / np.where(span > 0, span, 1.0)
    return scaled


def intensity_names(channels: Sequence[str]) -> list[str]:
    """Return the names of what ``intensity`` measures."""
    return [f"{channel}_{name}" for channel in channels for name in STATISTICS]


def intensity(tiles: npt.ArrayLike) -> Floats:
    """Return mean, sd, 10 %, 50 % and 90 % quantile of each channel, (n, 5 C), from tiles (n, C, H, W)."""
    values = np.asarray(tiles, dtype=np.float64)
    flat = values.reshape(*values.shape[:2], -1)
    quantiles = np.quantile(flat, [0.1, 0.5, 0.9], axis=2)
    columns = np.stack([flat.mean(axis=2), flat.std(axis=2), *quantiles], axis=2)
    return columns.reshape(len(values), -1)


def classic_names(protein: Sequence[str], structure: Sequence[str], scales_px: Sequence[int] = SCALES_PX) -> list[str]:
    """Return the names of what ``classic`` measures."""
    names = []
    for channel in protein:
        names += [f"{channel}_{name}" for name in ("sum", "mean", "sd")]
        names += [f"{channel}_correlation_with_{other}" for other in structure]
        names += [f"{channel}_{name}_{scale}px" for scale in scales_px for name in HARALICK]
    return names


def classic(
    protein: npt.ArrayLike, structure: npt.ArrayLike, *, levels: int = 256, scales_px: Sequence[int] = SCALES_PX
) -> Floats:
    """Return the classic features of Lu 2019, "Baseline feature extraction and benchmarking".

    Args:
        protein: (n, P, H, W), channels that are described.
        structure: (n, S, H, W), channels they are correlated with; S may be 0.
        levels: grey levels of the textures; each crop is scaled to its own range first.
        scales_px: distances of the pixel pairs of the textures; each must be less than H and W.

    Returns:
        (n, P (3 + S + 13 scales)): of each protein channel the sum, mean and sd of the pixels, Pearson's r with each
        structure channel (0 where one is constant), and the Haralick features of every scale.
    """
    cells = np.asarray(protein, dtype=np.float64)
    others = np.asarray(structure, dtype=np.float64)
    parts = []
    for channel in range(cells.shape[1]):
        plane = cells[:, channel]
        flat = plane.reshape(len(plane), -1)
        parts.append(np.stack([flat.sum(axis=1), flat.mean(axis=1), flat.std(axis=1)], axis=1))
        for other in range(others.shape[1]):
            parts.append(_correlation(flat, others[:, other].reshape(len(flat), -1))[:, None])
        grey = grey_levels(plane, levels)
        parts += [haralick(grey, scale, levels) for scale in scales_px]
    return np.concatenate(parts, axis=1)


def grey_levels(planes: npt.ArrayLike, levels: int) -> npt.NDArray[np.int64]:
    """Return whole numbers 0 .. ``levels`` - 1 from (n, H, W): each crop's own range in equal steps."""
    scaled = crop_range(np.asarray(planes, dtype=np.float64)[:, None])[:, 0]
    return np.minimum(scaled * levels, levels - 1).astype(np.int64)


def haralick(grey: npt.NDArray[np.int64], distance_px: int, levels: int) -> Floats:
    """Return the thirteen texture features of pixel pairs at one distance, averaged over four directions.

    Args:
        grey: whole numbers 0 .. ``levels`` - 1, (n, H, W); the levels count from 0 in the sum average.
        distance_px: distance of the pairs along rows and columns; diagonal pairs lie as many rows and columns apart.
        levels: number of grey levels.

    Returns:
        (n, 13), in the order of ``HARALICK``; logarithms to base 2.

    Raises:
        ValueError: the crop is no larger than the distance.

    Source: Haralick 1973, appendix I; pairs are counted in both orders.
    """
    if distance_px >= min(grey.shape[1:]):
        raise ValueError(
            f"crops of {grey.shape[1]} x {grey.shape[2]} px have no pixels that are {distance_px} px apart"
        )
    step = max(1, _COUNTS // (levels * levels))
    total = np.zeros((len(grey), len(HARALICK)))
    for start in range(0, len(grey), step):
        part = slice(start, start + step)
        for rows, columns in _DIRECTIONS:
            counts = _pair_counts(grey[part], rows * distance_px, columns * distance_px, levels)
            total[part] += _texture(counts)
    return total / len(_DIRECTIONS)


def _correlation(left: Floats, right: Floats) -> Floats:
    left = left - left.mean(axis=1, keepdims=True)
    right = right - right.mean(axis=1, keepdims=True)
    scale = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    r: Floats = np.divide((left * right).sum(axis=1), scale, out=np.zeros(len(left)), where=scale > 0)
    return r


def _pair_counts(grey: npt.NDArray[np.int64], down: int, right: int, levels: int) -> npt.NDArray[np.int64]:
    """Count pairs of grey levels ``(down, right)`` apart, in both orders, (n, levels, levels)."""
    n, height, width = grey.shape
    first = grey[:, : height - down, max(0, -right) : width - max(0, right)]
    second = grey[:, down:, max(0, right) : width + min(0, right)]
    cell = (np.arange(n) * levels * levels)[:, None, None]
    codes = np.concatenate([(cell + first * levels + second).ravel(), (cell + second * levels + first).ravel()])
    return np.bincount(codes, minlength=n * levels * levels).reshape(n, levels, levels)


def _texture(counts: npt.NDArray[np.int64]) -> Floats:
    """Return Haralick's features 1 to 13 of symmetric co-occurrence counts, (n, L, L) -> (n, 13).

    Most entries are zero, so sums run over the others alone.
    """
    n, levels, _ = counts.shape
    # Several times as fast as np.nonzero(counts).
    filled = np.flatnonzero(counts.ravel() > 0)
    cell, i, j = np.unravel_index(filled, counts.shape)
    p = counts.ravel()[filled] / counts.sum(axis=(1, 2))[cell]

    def over(values: Floats) -> Floats:
        return np.bincount(cell, values, minlength=n).astype(np.float64, copy=False)

    def spread(index: npt.NDArray[np.int64], length: int) -> Floats:
        shares = np.bincount(cell * length + index, p, minlength=n * length)
        return shares.astype(np.float64, copy=False).reshape(n, length)

    marginal, sums, differences = spread(i, levels), spread(i + j, 2 * levels - 1), spread(np.abs(i - j), levels)
    mean = _mean(marginal)
    variance = over(p * (i - mean[cell]) ** 2)
    covariance = over(p * (i - mean[cell]) * (j - mean[cell]))
    # A crop of one grey level is perfectly correlated with itself.
    correlation = np.divide(covariance, variance, out=np.ones(n), where=variance > 0)
    entropy = over(-p * np.log2(p))
    product = marginal[cell, i] * marginal[cell, j]
    cross = over(-p * np.log2(product))
    independent = 2 * _entropy(marginal)
    own = _entropy(marginal)
    gain = np.maximum(independent - entropy, 0.0)
    sum_average = _mean(sums)
    columns = (
        over(p**2),
        over(p * (i - j) ** 2),
        correlation,
        variance,
        over(p / (1.0 + (i - j) ** 2)),
        sum_average,
        _variance(sums),
        _entropy(sums),
        entropy,
        _variance(differences),
        _entropy(differences),
        np.divide(entropy - cross, own, out=np.zeros(n), where=own > 0),
        np.sqrt(1.0 - np.exp(-2.0 * gain * np.log(2.0))),
    )
    return np.stack(columns, axis=1)


def _entropy(p: Floats) -> Floats:
    terms = np.log2(p, out=np.zeros_like(p), where=p > 0)
    total: Floats = -(p * terms).sum(axis=1)
    return total + 0.0


def _mean(p: Floats) -> Floats:
    # No matrix product: its last bit would depend on how many cells are measured together.
    mean: Floats = (p * np.arange(p.shape[1])).sum(axis=1)
    return mean


def _variance(p: Floats) -> Floats:
    variance: Floats = (p * (np.arange(p.shape[1]) - _mean(p)[:, None]) ** 2).sum(axis=1)
    return variance
