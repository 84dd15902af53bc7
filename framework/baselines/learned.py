"""What baselines learn from: the training rows of a prediction file, or of its run where the file has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, PERTURBATION, SOURCE, STIMULATION
from framework.data.permutation import I64
from framework.data.split import bags_in
from framework.errors import InputError, RunError, WellstreamError
from framework.evaluate.predictions import TEST, Predictions
from framework.objectives import Predicts
from framework.run.train.pretrained import open_run

Floats = npt.NDArray[np.float64]
_LEAST_UNITS, _FEW_UNITS = 10, 5
"""Fewer bags or fields are not resampled: their cells are. Fewer conditions are not: their bags are."""
_SAME = 1e-4


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """One prediction file, with what a baseline may learn from.

    Attributes:
        item: the file.
        train: int64 (n,), ids of training rows in the dataset, increasing.
        labels: (n, P), their measured values, in the units of the predictions.
        groups: int64 (n,), training rows that stay together in cross-validation.
        blocks: int64 (n,), training rows among which labels are shuffled.
        places: int64 (t,), test rows of the file.
        test: int64 (t,), their ids in the dataset.
        units: (t,) text, test rows that are resampled together.
        unit: what a unit is.
    """

    item: Predictions
    train: I64
    labels: Floats
    groups: I64
    blocks: I64
    places: I64
    test: I64
    units: npt.NDArray[np.object_]
    unit: str


def learned(item: Predictions, dataset: Dataset, run: Path | None, limit: int, seed: int = 0) -> Learned:
    """Return what baselines of a file learn from.

    Args:
        item: predictions of bags or of tiles.
        dataset: they were made on.
        run: run that made them; None where it is gone.
        limit: most training tiles; more are drawn.
        seed: seed of the draw.

    Raises:
        InputError: no training rows in the file, and no run that has them.
    """
    ids = _ids(item, dataset)
    places = np.flatnonzero(item.part(TEST) & np.isfinite(item.measured).any(axis=1))
    in_file = item.part("train") & np.isfinite(item.measured).any(axis=1)
    if in_file.any():
        train, labels = ids[in_file], item.measured[in_file]
    else:
        train, labels = _of_run(item, dataset, run, ids[places], item.measured[places])
    order = np.argsort(train, kind="stable")
    if item.level == "tile" and len(order) > limit:
        order = np.sort(np.random.default_rng(seed).choice(len(train), limit, replace=False))
        order = order[np.argsort(train[order], kind="stable")]
    train, labels = train[order], labels[order]
    rows = _table(item.level, dataset, train)
    unit, units = _units(item, _table(item.level, dataset, ids[places]))
    return Learned(
        item=item,
        train=train,
        labels=labels,
        groups=_groups(item, rows),
        blocks=_codes(rows, [SOURCE] if item.level == "bag" else [SOURCE, BAG]),
        places=places,
        test=ids[places],
        units=units,
        unit=unit,
    )


def run_of(item: Predictions) -> Path | None:
    """Return the folder of the run that made the predictions, where it is still there."""
    return item.run_dir if item.run_dir is not None and (item.run_dir / "config.yaml").is_file() else None


def _ids(item: Predictions, dataset: Dataset) -> I64:
    if item.level == "tile":
        return item.rows["tile"].to_numpy(dtype=np.int64)
    known = pd.MultiIndex.from_frame(dataset.bags[[SOURCE, BAG]].astype(str))
    found = known.get_indexer(pd.MultiIndex.from_frame(item.rows[[SOURCE, BAG]].astype(str)))
    if (found < 0).any():
        lost = item.rows.iloc[int(np.flatnonzero(found < 0)[0])]
        raise InputError(
            f"{item.name}: bag {lost[BAG]} of {lost[SOURCE]} is not in {dataset.where}; add --data DATASET"
        )
    return np.asarray(found, dtype=np.int64)


def _of_run(item: Predictions, dataset: Dataset, run: Path | None, test: I64, measured: Floats) -> tuple[I64, Floats]:
    """Return training rows and labels of the run, after a look whether its test rows have the labels of the file."""
    if run is None:
        raise InputError(
            f"{item.name}: has no training rows for baselines to learn from, and its run is gone; predict "
            "again with: --part all"
        )
    try:
        opened = open_run(run, device="cpu")
        on, objective = opened.on(dataset.where), opened.having(Predicts)
    except (WellstreamError, OSError) as error:
        raise InputError(f"{item.name}: has no training rows for baselines to learn from: {error}") from None
    outputs = list(objective.outputs())
    mine = _columns(item, [(output.target, output.name) for output in outputs])
    for table in objective.labels(on.dataset).values():
        if table.per == item.level and table.values.shape[1:] == (len(outputs),):
            values = table.values[:, mine].double().numpy()
            if not np.allclose(values[test], measured, rtol=_SAME, atol=_SAME, equal_nan=True):
                break
            bags = bags_in(on.parts, "train")
            of_bag = np.isin(dataset.index.bag, bags) if item.level == "tile" else np.isin(dataset.bags["bag"], bags)
            has_tiles = np.diff(dataset.index.bag_start) > 0
            there = of_bag & (True if item.level == "tile" else has_tiles) & np.isfinite(values).any(axis=1)
            train = np.flatnonzero(there).astype(np.int64)
            if not len(train):
                raise InputError(f"{item.name}: {run} has no training rows with labels; predict with --part all")
            return train, values[train]
    raise InputError(f"{item.name}: {run} has its labels in other units than the file; predict again with: --part all")


def _columns(item: Predictions, outputs: list[tuple[str, str]]) -> list[int]:
    names = item.genes()
    target_of = {column: target for target, columns in item.targets().items() for column in columns.tolist()}
    place = {key: number for number, key in enumerate(outputs)}
    by_name = {name: number for number, (_, name) in enumerate(outputs)}
    try:
        return [place.get((target_of[column], name), by_name[name]) for column, name in enumerate(names)]
    except KeyError as error:
        raise RunError(f"{item.name}: column {error} is not predicted by its run; predict again") from None


def _table(level: str, dataset: Dataset, ids: I64) -> pd.DataFrame:
    bags = ids if level == "bag" else dataset.index.bag[ids]
    table = dataset.bags.iloc[bags].reset_index(drop=True)
    if level == "tile":
        table = table.assign(site=dataset.tile_table(["site"])["site"].to_numpy()[ids], tile=ids)
    return table


def _groups(item: Predictions, rows: pd.DataFrame) -> I64:
    """Rows that a split keeps together; bags, and then fields, where it has too few such values to learn from."""
    for columns in ([item.split_column], [SOURCE, BAG], [SOURCE, BAG, "site"]):
        if set(columns) <= set(rows.columns):
            codes = _codes(rows, columns)
            if len(np.unique(codes)) > 2:
                return codes
    return np.arange(len(rows), dtype=np.int64)


def _units(item: Predictions, rows: pd.DataFrame) -> tuple[str, npt.NDArray[np.object_]]:
    """Return what is resampled together: a condition; of cells a bag, a field or a cell, the first that has enough."""
    if item.level == "bag":
        by = [column for column in (PERTURBATION, STIMULATION) if column in rows.columns]
        units = _names(rows, by)
        return ("condition", units) if len(np.unique(units)) >= _FEW_UNITS else ("bag", _names(rows, [SOURCE, BAG]))
    for unit, columns in (("bag", [SOURCE, BAG]), ("field", [SOURCE, BAG, "site"])):
        units = _names(rows, columns)
        if len(np.unique(units)) >= _LEAST_UNITS:
            return unit, units
    return "cell", _names(rows, ["tile"])


def _names(rows: pd.DataFrame, columns: list[str]) -> npt.NDArray[np.object_]:
    return rows[columns].astype(str).agg("|".join, axis=1).to_numpy(dtype=object)


def _codes(rows: pd.DataFrame, columns: list[str]) -> I64:
    return np.asarray(pd.factorize(_names(rows, columns))[0], dtype=np.int64)
