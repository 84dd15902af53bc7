"""From prediction files to an evaluation folder: picks the evaluation that fits, adds what only the dataset knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from framework.data.dataset import Dataset
from framework.data.split import SplitConfig, assign
from framework.data.store import TileStore, dataset_digest
from framework.errors import InputError, WellstreamError
from framework.evaluate.config import EvaluateConfig
from framework.evaluate.evaluation import Evaluation, write_evaluation
from framework.evaluate.markers import evaluate_markers, linear_baseline, tile_mean_intensities
from framework.evaluate.metrics import Floats
from framework.evaluate.omics import OmicsEvaluation, evaluate_omics
from framework.evaluate.predictions import TEST, Predictions, open_all

_MAX_TRAIN_TILES = 20_000
"""Train tiles the linear baseline is fitted on: four coefficients need no more, and reading them stays seconds."""
_SAME_UNITS = 1e-3


def evaluate(
    predictions: Sequence[Path | str | anndata.AnnData],
    dataset: Path | str | None = None,
    out: Path | str | None = None,
    config: EvaluateConfig | None = None,
) -> Evaluation:
    """Score prediction files of one kind.

    Args:
        predictions: files of ``wellstream predict`` or folders of them: any number for wells (splits, targets), one
            for tiles.
        dataset: the dataset they were made on; needed for the linear baseline of markers and for the count of genes
            that were filtered out before training.
        out: folder to write the evaluation to, or nothing.
        config: which test decides, and so on.

    Raises:
        InputError: a bad file, none, several of one (target, seed), a mix of wells and tiles, or another dataset.
        DatasetError: the dataset cannot be opened.
    """
    options = config or EvaluateConfig()
    opened = open_all(predictions)
    opened_dataset = Dataset.open(dataset) if dataset is not None else None
    _check_same_dataset(opened, opened_dataset)
    evaluation = (
        _markers(opened, opened_dataset, options)
        if opened[0].kind == "markers"
        else _omics(opened, opened_dataset, options)
    )
    if out is not None:
        write_evaluation(out, evaluation)
    return evaluation


def _check_same_dataset(opened: Sequence[Predictions], dataset: Dataset | None) -> None:
    """Refuse predictions of other wells or tiles than the dataset's: ids would point at other cells."""
    for item in opened:
        told = str(item.facts.get("dataset_digest", ""))
        if dataset is not None and told and told != dataset_digest(dataset):
            raise InputError(
                f"{item.name} was made on dataset '{item.facts.get('dataset', '')}' in another state "
                f"than {dataset.where}; predict again on this dataset"
            )


def _summary(
    opened: Sequence[Predictions], options: EvaluateConfig, rows: pd.DataFrame, notes: Sequence[str]
) -> dict[str, Any]:
    return {
        "kind": opened[0].kind,
        "options": options.plain(),
        "predictions": [
            {
                "file": Path(item.name).name,
                "objective": str(item.facts.get("objective", "")),
                "dataset": str(item.facts.get("dataset", "")),
                "dataset_digest": str(item.facts.get("dataset_digest", "")),
                "split": item.split_key,
                "split_by": item.split_column,
                "targets": list(item.targets()) if item.kind == "omics" else [],
                "test_rows": int(item.part(TEST).sum()),
            }
            for item in opened
        ],
        "rows": rows.to_dict(orient="records"),
        "notes": list(notes),
    }


def _omics(opened: Sequence[Predictions], dataset: Dataset | None, options: EvaluateConfig) -> Evaluation:
    result: OmicsEvaluation = evaluate_omics(opened, options, _filtered_genes(opened, dataset))
    return Evaluation(
        kind="omics",
        summary=_summary(opened, options, result.targets, result.notes),
        tables={
            "per_gene": result.genes,
            "per_split": result.per_split,
            "per_well": result.wells,
            "splits": result.splits,
        },
    )


def _filtered_genes(opened: Sequence[Predictions], dataset: Dataset | None) -> Mapping[str, int]:
    """Genes without a prediction in any file: dropped at ingest (low expression), or measured in no training well."""
    predicted: dict[str, set[str]] = {}
    for item in opened:
        genes = item.genes()
        for target, columns in item.targets().items():
            predicted.setdefault(target, set()).update(genes[column] for column in columns)
    counts: dict[str, int] = {}
    for target, found in predicted.items():
        if dataset is not None and target in dataset.manifest.targets:
            table = dataset.target(target)
            dropped = table.uns.get("wellstream", {}).get("dropped_genes", ())
            counts[target] = len(dropped) + max(0, table.n_vars - len(found))
    return counts


def _markers(opened: Sequence[Predictions], dataset: Dataset | None, options: EvaluateConfig) -> Evaluation:
    if len(opened) > 1:
        raise InputError(
            f"{opened[1].name}: expected one prediction file of tiles, found {len(opened)}; evaluate each alone"
        )
    item = opened[0]
    linear: Floats | None = None
    notes: tuple[str, ...]
    if dataset is None:
        notes = ("no dataset was given, so the linear baseline on mean intensities is missing; add --data DATASET",)
    else:
        linear, notes = _linear(item, dataset)
    result = evaluate_markers(item, options, linear, notes)
    return Evaluation(
        kind="markers",
        summary=_summary(opened, options, result.markers, result.notes),
        tables={"per_marker": result.markers, "per_cell": result.cells},
    )


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
        raise InputError(f"{item.name} does not say how it was split; predict with --part all") from None
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
