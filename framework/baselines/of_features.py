"""A comparison of feature sets beside its baselines: their features, the same votes, the same resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.baselines.base import BaselineMissing
from framework.baselines.compare import BaselinesConfig, built, chosen, told
from framework.baselines.paired import difference
from framework.baselines.rows import Rows
from framework.data.dataset import Dataset
from framework.data.format.schema import SOURCE
from framework.errors import InputError
from framework.evaluate import Evaluation
from framework.evaluate.beside import KEY
from framework.evaluate.named_dataset import dataset_of
from framework.features import FeatureEvaluateConfig, FeatureTable, evaluate_features
from framework.features.cells import Cells, choose_cells
from framework.features.classes import Resamples, balanced_accuracy
from framework.features.classifiers import classify
from framework.features.compare import neighbour_votes, trained
from framework.features.neighbours import Ints, standardise
from framework.features.table import column
from framework.progress import OnProgress

SCORE = "balanced accuracy"
HOW = (
    "Score: balanced accuracy of cells that did not vote; what knows nothing says the commonest class. The features of "
    "every baseline are voted on by the same cells."
)


def features_with_baselines(
    tables: Sequence[FeatureTable],
    config: FeatureEvaluateConfig,
    options: BaselinesConfig | None = None,
    *,
    dataset: Path | str | None = None,
    run: Path | None = None,
    progress: OnProgress | None = None,
) -> Evaluation:
    """Compare feature sets of the same cells, and each of them with its baselines.

    Args:
        tables: feature sets of the same cells, which are tiles of a dataset.
        config: labels, protocol, classifiers.
        options: which baselines, and how.
        dataset: the cells are in; None: the one that the files name.
        run: run that made the features, for baselines that need its network; None: the first that a file names.
        progress: called with (stage, done, total).

    Returns:
        The evaluation with ``baselines`` in its summary and the table ``baselines``, one row per feature set,
        classifier and baseline.

    Raises:
        ConfigError: no such baseline.
        InputError: no dataset, cells that are not tiles of one, or what ``evaluate_features`` refuses.
    """
    asked = options or BaselinesConfig()
    names = chosen(asked.names)
    rows, place = _rows(tables, dataset, run, asked)
    made = evaluate_features(tables, config, progress=progress)
    cells = choose_cells(tables[0], config)
    found = _Found(cells=cells, config=config, seed=asked.seed)
    for done, name in enumerate(names):
        if progress:
            progress("baselines", done, len(names))
        baseline = built(name, asked)
        try:
            values = baseline.features(rows)[place][cells.rows]
            shown = _shuffled(tables[0], cells, asked.seed) if baseline.shuffles else None
        except BaselineMissing as error:
            found.missing[name] = str(error)
            continue
        found.add(name, baseline.says, values, shown)
    if progress:
        progress("baselines", len(names), len(names))
    return found.joined(made, tables, asked)


def _rows(
    tables: Sequence[FeatureTable], dataset: Path | str | None, run: Path | None, options: BaselinesConfig
) -> tuple[Rows, Ints]:
    """Return the tiles that the cells are, and the place of each cell among them."""
    opened, notes = dataset_of(tables, dataset)
    if opened is None:
        raise InputError(f"baselines need the dataset: {'; '.join(notes) or 'add --data DATASET'}")
    first = tables[0]
    if "tile" not in first.cells.columns:
        raise InputError(
            f"{first.file}: no column 'tile', so baselines cannot find its cells in {opened.where}; make features with "
            "wellstream embed or wellstream features"
        )
    tiles = pd.to_numeric(column(first, "tile"), errors="coerce").to_numpy(dtype=np.float64)
    if not (np.isfinite(tiles).all() and (tiles >= 0).all() and (tiles < len(opened.index)).all()):
        raise InputError(
            f"{first.file}: column 'tile' names tiles that are not in {opened.where}, which has {len(opened.index)}; "
            "name their own dataset with --data"
        )
    ids, place = np.unique(tiles.astype(np.int64), return_inverse=True)
    return _seen(opened, ids, tables, run, options), place.astype(np.int64)


def _seen(
    dataset: Dataset, ids: Ints, tables: Sequence[FeatureTable], run: Path | None, options: BaselinesConfig
) -> Rows:
    """Return the tiles with the channels that the network saw."""
    there = [each.run_dir for each in tables if each.run_dir and (each.run_dir / "config.yaml").is_file()]
    channels = next((each.channels for each in tables if each.channels), None)
    return Rows.of(
        dataset, "tile", ids, channels=channels, run=run or next(iter(there), None), seed=options.seed
    )  # fmt: skip


def _shuffled(table: FeatureTable, cells: Cells, seed: int) -> Ints:
    """Return classes of voting cells dealt anew within their plate or export, those of other cells as they are.

    Raises:
        BaselineMissing: none of them holds two classes.
    """
    known = SOURCE in table.cells.columns
    names = column(table, SOURCE).fillna("").to_numpy(dtype=str)[cells.rows] if known else np.full(len(cells.rows), "")
    random, shown = np.random.default_rng(seed), cells.label.copy()
    several = False
    for name in np.unique(names):
        mine = np.flatnonzero((names == name) & cells.train)
        shown[mine] = cells.label[random.permutation(mine)]
        several |= len(np.unique(cells.label[mine])) > 1
    if not several:
        raise BaselineMissing("each plate holds one class, so shuffling labels within plates changes nothing")
    return shown


@dataclass(kw_only=True, eq=False)
class _Found:
    """What baselines say of the cells; keys are (baseline, classifier). A feature set may bear the name of one."""

    cells: Cells
    config: FeatureEvaluateConfig
    seed: int

    def __post_init__(self) -> None:
        self.predicted: dict[tuple[str, str], Ints] = {}
        self.says: dict[str, str] = {}
        self.features: dict[str, int] = {}
        self.missing: dict[str, str] = {}

    def add(self, name: str, says: str, values: npt.NDArray[np.float64], shown: Ints | None) -> None:
        """Predict the cells from the features (n, D) of a baseline."""
        cells = replace(self.cells, shown=shown)
        known = _complete(values, cells.train)
        self.says[name], self.features[name] = says, known.shape[1]
        if not known.shape[1]:
            commonest = int(np.bincount(cells.taught[cells.train]).argmax())
            answer = np.where(cells.test, commonest, -1).astype(np.int64)
            self.predicted |= {(name, classifier): answer for classifier in ("knn", *trained(self.config))}
            return
        scaled, _ = standardise(known, cells.train)
        self.predicted[name, "knn"] = neighbour_votes(scaled, cells, (self.config.k,))[self.config.k]
        for classifier in trained(self.config):
            self.predicted[name, classifier] = classify(classifier, known, cells, self.config)[0]

    def joined(self, made: Evaluation, tables: Sequence[FeatureTable], options: BaselinesConfig) -> Evaluation:
        """Return the evaluation with the baselines beside each of its feature sets."""
        test, classes = self.cells.test, len(self.cells.classes)
        truth = self.cells.label[test]
        models = _of_models(made, self.cells)
        every = {("set", *key): values[test] for key, values in models.items()}
        every |= {("baseline", *key): values[test] for key, values in self.predicted.items()}
        plan = Resamples.plan(truth, self.cells.group[test], seed=self.config.seed, count=self.config.resamples)
        draws = plan.scores(truth, every, classes)
        scores = {key: balanced_accuracy(truth, values, classes) for key, values in every.items()}
        rows: list[dict[str, Any]] = []
        targets: list[dict[str, Any]] = []
        for table, classifier in models:
            model, score = ("set", table, classifier), scores["set", table, classifier]
            target = f"{table}, {classifier}" if trained(self.config) else table
            mine = []
            for name, says in self.says.items():
                beside = "baseline", name, classifier
                apart = difference(score, scores[beside], draws[model], draws[beside])
                mine.append(
                    {
                        "target": target,
                        "baseline": name,
                        "says": says,
                        "score": scores[beside],
                        **apart.plain(),
                        "features": self.features[name],
                    }
                )
            mine.sort(key=lambda row: -float(row["score"]))
            rows += mine
            if mine:
                targets.append({"target": target, "model": score, "best": mine[0]["baseline"], **told(mine[0])})
        summary = {
            "rows": rows,
            "targets": targets,
            "missing": self.missing,
            "unit": plan.unit,
            "resamples": self.config.resamples,
            "options": options.plain(),
            "score": SCORE,
            "how": HOW,
        }
        return replace(made, summary={**made.summary, KEY: summary}, tables={**made.tables, KEY: pd.DataFrame(rows)})


def _of_models(made: Evaluation, cells: Cells) -> dict[tuple[str, str], Ints]:
    """Return (feature set, classifier) -> class of each cell, (n,), as the evaluation found them."""
    per_cell = made.tables["per_cell"]
    number = {name: code for code, name in enumerate(cells.classes)} | {"": -1}
    scored = [(row["set"], name) for row in made.summary["rows"] if "missing" not in row for name in _classifiers(row)]
    return {
        (table, name): np.asarray(per_cell[f"{table} {name}"].map(number), dtype=np.int64) for table, name in scored
    }


def _classifiers(row: dict[str, Any]) -> list[str]:
    return [name for name in ("knn", "logistic", "forest") if name in row]


def _complete(values: npt.NDArray[np.float64], train: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return features without gaps: a gap becomes the mean of voting cells; what all of them lack is left out."""
    known = np.isfinite(values)
    kept = known[train].any(axis=0)
    values, known = values[:, kept], known[:, kept]
    mean = np.nanmean(np.where(known[train], values[train], np.nan), axis=0) if kept.any() else np.empty(0)
    complete: npt.NDArray[np.float32] = np.where(known, values, mean).astype(np.float32)
    return complete
