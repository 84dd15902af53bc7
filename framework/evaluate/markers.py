"""How well markers of single cells are predicted from tiles, next to the two predictors anybody would try first.

The train mean knows no image. Ordinary least squares on the mean intensity knows one number per channel.
A network that does not beat the second has learned brightness, not shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import BAG, PERTURBATION, SOURCE, STIMULATION
from framework.data.store import Store
from framework.evaluate import intervals, metrics
from framework.evaluate.config import EvaluateConfig
from framework.evaluate.metrics import Floats
from framework.evaluate.predictions import TEST, Predictions, open_predictions


@dataclass(frozen=True, kw_only=True)
class MarkerEvaluation:
    """Result of ``evaluate_markers``.

    Attributes:
        markers: one row per marker: n, r with bootstrap (``r_low``, ``r_high``, ``r_sd``) and Fisher interval
            (``r_fisher_low``, ``r_fisher_high``), spearman, rmse, mae; ``rmse_mean`` and ``mae_mean`` of the train-mean
            predictor (its r is undefined); ``r_linear`` with interval, ``spearman_linear``, ``rmse_linear`` and
            ``mae_linear`` of the linear one (NaN without it).
        cells: one row per test tile and marker: where it lies, measured, predicted, linear.
        notes: sentences a reader of the numbers must know.
    """

    markers: pd.DataFrame
    cells: pd.DataFrame
    notes: tuple[str, ...] = ()


def tile_mean_intensities(
    store: Store, tile_ids: npt.NDArray[np.int64], chunk: int = 1024, log10: bool = False
) -> Floats:
    """Return the mean stored intensity of each channel of each tile.

    Args:
        store: reads tiles by id.
        tile_ids: int64 (n,).
        chunk: tiles held in memory at a time.
        log10: return ``log10(mean + 1)`` instead, for markers on a logarithmic scale.

    Returns:
        float64 (n, C).
    """
    channels = store.sample_shape[0]
    means = np.empty((len(tile_ids), channels), dtype=np.float64)
    buffer = np.empty((min(chunk, max(len(tile_ids), 1)), *store.sample_shape), dtype=store.dtype)
    for start in range(0, len(tile_ids), chunk):
        ids = tile_ids[start : start + chunk]
        store.gather(ids, buffer[: len(ids)])
        means[start : start + len(ids)] = (
            buffer[: len(ids)].reshape(len(ids), channels, -1).mean(axis=2, dtype=np.float64)
        )
    return np.log10(means + 1.0) if log10 else means


def linear_baseline(train_features: Floats, train_targets: Floats, test_features: Floats) -> Floats:
    """Return predictions of ordinary least squares with intercept, one fit per marker.

    Args:
        train_features: (n, C).
        train_targets: (n, M), NaN where unknown.
        test_features: (t, C).

    Returns:
        (t, M); NaN for a marker with fewer known train cells than coefficients.
    """
    centre, spread = train_features.mean(axis=0), train_features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)

    def design(features: Floats) -> Floats:
        return np.column_stack([np.ones(len(features)), (features - centre) / spread])

    train, test = design(train_features), design(test_features)
    predicted: Floats = np.full((len(test), train_targets.shape[1]), np.nan)
    for marker in range(train_targets.shape[1]):
        known = ~np.isnan(train_targets[:, marker])
        if known.sum() < train.shape[1]:
            continue
        coefficients, *_ = np.linalg.lstsq(train[known], train_targets[known, marker], rcond=None)
        predicted[:, marker] = test @ coefficients
    return predicted


def evaluate_markers(
    source: Predictions | anndata.AnnData | Path | str,
    config: EvaluateConfig | None = None,
    linear: Floats | None = None,
    notes: tuple[str, ...] = (),
) -> MarkerEvaluation:
    """Score predictions of markers for tiles, on test rows only.

    Args:
        source: the predictions.
        config: resamples and seed of the bootstrap.
        linear: predictions of ``linear_baseline`` for the test rows in file order, (t, M).
        notes: handed on.

    Raises:
        InputError: see ``open_predictions``.
    """
    options = config or EvaluateConfig()
    item = source if isinstance(source, Predictions) else open_predictions(source)
    test = np.flatnonzero(item.part(TEST))
    predicted, measured = item.predicted[test], item.measured[test]
    others = np.full(predicted.shape, np.nan) if linear is None else linear
    if others.shape != predicted.shape:
        raise ValueError(f"expected linear predictions of shape {predicted.shape}, found {others.shape}")
    mean = np.broadcast_to(item.train_mean(), measured.shape)
    table = pd.DataFrame({"marker": item.genes(), "n": (~np.isnan(measured)).sum(axis=0)})
    for name, values in _scores(predicted, measured, options).items():
        table[name] = values
    table["rmse_mean"] = metrics.rmse(mean, measured)
    table["mae_mean"] = metrics.mae(mean, measured)
    for name, values in _scores(others, measured, options).items():
        table[f"{name}_linear" if name.count("_") == 0 else name.replace("_", "_linear_", 1)] = values
    return MarkerEvaluation(markers=table, cells=_cells(item, test, others), notes=notes)


def _scores(predicted: Floats, measured: Floats, options: EvaluateConfig) -> Mapping[str, Floats]:
    columns = range(measured.shape[1])
    r = metrics.pearson(predicted, measured)
    boot = [
        intervals.bootstrap_pearson(predicted[:, c], measured[:, c], seed=options.seed, resamples=options.resamples)
        for c in columns
    ]
    pairs = (~(np.isnan(measured) | np.isnan(predicted))).sum(axis=0)
    fisher = [intervals.fisher_interval(float(r[c]), int(pairs[c])) for c in columns]
    return {
        "r": r,
        "r_low": np.array([low for low, _, _ in boot]),
        "r_high": np.array([high for _, high, _ in boot]),
        "r_sd": np.array([sd for _, _, sd in boot]),
        "r_fisher_low": np.array([low for low, _ in fisher]),
        "r_fisher_high": np.array([high for _, high in fisher]),
        "spearman": metrics.spearman(predicted, measured),
        "rmse": metrics.rmse(predicted, measured),
        "mae": metrics.mae(predicted, measured),
    }


def _cells(item: Predictions, test: npt.NDArray[np.int64], linear: Floats) -> pd.DataFrame:
    keys = [SOURCE, BAG, PERTURBATION, STIMULATION, "tile", "site", "y_px", "x_px"]
    rows = item.rows.iloc[test]
    rows = rows[[key for key in keys if key in rows.columns]].reset_index(drop=True)
    parts = []
    for column, marker in enumerate(item.genes()):
        part = rows.copy()
        part.insert(0, "marker", marker)
        part["measured"] = item.measured[test, column]
        part["predicted"] = item.predicted[test, column]
        part["linear"] = linear[:, column]
        parts.append(part[part["measured"].notna()])
    return pd.concat(parts, ignore_index=True)
