"""Evaluation ``markers``: markers of cells, in a prediction file with one row per tile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from framework.data.dataset import Dataset
from framework.data.split import SplitConfig, assign
from framework.data.store import TileStore
from framework.errors import InputError, WellstreamError
from framework.evaluate.config import EvaluateConfig
from framework.evaluate.kinds import (
    EVALUATIONS,
    Scored,
    ScoresPredictions,
    ScoreTable,
    Verdict,
    against_baseline,
)
from framework.evaluate.markers import evaluate_markers, linear_baseline, tile_mean_intensities
from framework.evaluate.metrics import Floats
from framework.evaluate.predictions import TEST, Predictions
from framework.format import interval, known, least, number, significant

_MAX_TRAIN_TILES = 20_000
"""Train tiles the linear baseline is fitted on: four coefficients need no more, and reading them stays seconds."""
_SAME_UNITS = 1e-3


@EVALUATIONS.register("markers", EvaluateConfig)
class MarkersKind(ScoresPredictions):
    """Markers of single cells."""

    asks = "Can markers of single cells be read from their images, better than from how bright they are?"
    also_csv = frozenset({"per_marker"})

    def takes(self, predictions: Predictions) -> bool:
        """Files with one row per tile."""
        return predictions.level == "tile"

    def score(self, opened: Sequence[Predictions], dataset: Dataset | None, options: EvaluateConfig) -> Scored:
        """Score each marker next to the train mean and the linear baseline."""
        if len(opened) > 1:
            raise InputError(
                f"{opened[1].name}: expected one prediction file of tiles, found {len(opened)}; evaluate each alone"
            )
        linear: Floats | None = None
        notes: tuple[str, ...]
        if dataset is None:
            notes = ("without the dataset the linear baseline on mean intensities is missing; add --data DATASET",)
        else:
            linear, notes = _linear(opened[0], dataset)
        result = evaluate_markers(opened[0], options, linear, notes)
        tables = {"per_marker": result.markers, "per_cell": result.cells}
        return Scored(rows=result.markers, tables=tables, notes=result.notes)

    def table(self, summary: Mapping[str, Any]) -> ScoreTable:
        """Return one row per marker."""
        return ScoreTable(
            title="Markers of single cells that were held out",
            headers=("marker", "cells", "r [95 %]", "linear r [95 %]", "RMSE", "linear", "mean"),
            rows=[
                (
                    str(row["marker"]),
                    str(row["n"]),
                    interval(row, "r", brackets="[]"),
                    interval(row, "r_linear", brackets="[]"),
                    *(significant(row[name], 3) for name in ("rmse", "rmse_linear", "rmse_mean")),
                )
                for row in summary["rows"]
            ],
        )

    def verdict(self, summary: Mapping[str, Any]) -> Verdict | None:
        """Return whether errors are below those of the better baseline: linear in mean intensities, or the mean."""
        errors = [
            (str(row["marker"]), known(row["rmse"]), least(row["rmse_linear"], row["rmse_mean"]))
            for row in summary["rows"]
        ]
        return against_baseline(
            errors, "the better of its baselines (a linear fit of mean intensities, the train mean)", "RMSE"
        )

    def numbers(self, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return r of the two markers predicted best."""
        rows = [row for row in summary["rows"] if row["r"] is not None]
        best = sorted(rows, key=lambda row: -row["r"])[:2]
        return [(number(row["r"]), f"Pearson r of {row['marker']}, held out") for row in best]


def _linear(item: Predictions, dataset: Dataset) -> tuple[Floats | None, tuple[str, ...]]:
    test_tiles = item.rows["tile"].to_numpy(dtype=np.int64)[item.part(TEST)]
    if len(dataset.index) <= int(test_tiles.max(initial=0)):
        return None, (f"{item.name} was not made on {dataset.where}, so the linear baseline is missing",)
    try:
        train_tiles, targets = _train_cells(item, dataset)
    except WellstreamError as error:
        return None, (f"the linear baseline is missing: {error}",)
    if len(train_tiles) > _MAX_TRAIN_TILES:
        chosen = np.sort(np.random.default_rng(0).choice(len(train_tiles), _MAX_TRAIN_TILES, replace=False))
        train_tiles, targets = train_tiles[chosen], targets[chosen]
    # A channel the run did not see may be the very stain it predicts.
    channels = item.channels
    if channels is not None and not set(channels) <= set(dataset.manifest.tile.channels):
        return None, (f"{item.name} was made from channels {dataset.where} lacks, so the linear baseline is missing",)
    store = TileStore(dataset, channels)
    log10 = str(item.objective.get("transform", "none")).startswith("log10")
    features = [tile_mean_intensities(store, tiles, log10=log10) for tiles in (train_tiles, test_tiles)]
    return linear_baseline(features[0], targets, features[1]), ()


def _train_cells(item: Predictions, dataset: Dataset) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return tile ids and measured markers of the train part, in the units of the predictions."""
    train = item.part("train")
    if train.any():
        return item.rows["tile"].to_numpy(dtype=np.int64)[train], item.measured[train]
    try:
        split = SplitConfig.from_plain(_plain_split(item.split))
    except ValidationError:
        raise InputError(f"{item.name} does not say how it was split; predict again with: --part all") from None
    parts = assign(dataset.bags, split)
    raw = dataset.markers(tuple(item.genes())).astype(np.float64)
    transform = str(item.objective.get("transform", "none"))
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = {"log10": np.log10(raw), "log10p1": np.log10(raw + 1.0)}
    values = logarithms.get(transform, raw)
    values = np.where(np.isfinite(values), values, np.nan)
    test = item.part(TEST)
    same = values[item.rows["tile"].to_numpy(dtype=np.int64)[test]]
    if not np.allclose(same, item.measured[test], rtol=_SAME_UNITS, atol=_SAME_UNITS * 0.01, equal_nan=True):
        raise InputError(f"markers of {dataset.where} are in other units than {item.name}; predict with --part all")
    tiles = np.flatnonzero((parts == "train")[dataset.index.bag])
    known = ~np.isnan(values[tiles]).all(axis=1)
    return tiles[known].astype(np.int64), values[tiles[known]]


def _plain_split(split: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what a round trip through HDF5 does to a config section: arrays for lists, numpy for Python scalars."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [plain(entry) for entry in value.tolist()]
        return value.item() if isinstance(value, np.generic) else value

    return {str(key): plain(value) for key, value in split.items() if value is not None}
