"""An evaluation beside its baselines: features, one regression for all, the kind's own scores, one paired test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, BaselineMissing
from framework.baselines.learned import Learned, learned, run_of
from framework.baselines.paired import Difference, Floats, Scored, column_scores, difference, draws, score
from framework.baselines.ridge import ridge
from framework.baselines.rows import Rows
from framework.config import StrictModel, choices
from framework.data.dataset import Dataset
from framework.errors import ConfigError, InputError
from framework.evaluate import Evaluation, Scoring
from framework.evaluate.beside import KEY
from framework.evaluate.predictions import Predictions
from framework.progress import OnProgress

ALL = "all"
if TYPE_CHECKING:
    Tuned: TypeAlias = tuple[BaselineConfig, ...]
else:
    Tuned = choices(BASELINES, short=True)
_FEW_RESAMPLES = 100
SCORE = "r"
HOW = (
    "r: median over columns of Pearson's r; a constant prediction has r 0. Every baseline is a ridge regression on the "
    "same training rows."
)


class BaselinesConfig(StrictModel):
    """How baselines are made and compared."""

    names: tuple[str, ...] = (ALL,)
    """Entries of ``BASELINES``; ``all``: every one."""
    tuned: Tuned = ()
    """Baselines with options of their own, in place of their defaults: ``[{name: classic, scale_px: 5}]``."""
    tiles_per_bag: int = Field(default=64, ge=1)
    """Most tiles of a bag whose pixels are read; if there are more, they are drawn at random."""
    train_tiles: int = Field(default=5_000, ge=10)
    """Most training tiles for a run that predicts tiles; if there are more, they are drawn at random."""
    folds: int = Field(default=5, ge=2)
    """Folds of the cross-validation on training rows, which chooses the strength of the regression."""
    resamples: int = Field(default=2_000, ge=100)
    """Resamples of the paired test."""
    seed: int = Field(default=0, ge=0)
    """Seed of draws, shuffles and resamples."""


@dataclass(kw_only=True, eq=False)
class _Beside:
    """What was found: a name of a predictor, ``model`` first, -> target -> its predictions per split."""

    scored: dict[str, dict[str, list[Scored]]] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    strengths: dict[str, list[float]] = field(default_factory=dict)
    features: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    own: list[pd.DataFrame] = field(default_factory=list)


def with_baselines(
    scoring: Scoring,
    config: BaselinesConfig | None = None,
    run: Path | None = None,
    progress: OnProgress | None = None,
) -> Evaluation:
    """Return the evaluation with its baselines.

    Args:
        scoring: files, their kind and their dataset.
        config: which baselines, and how.
        run: run that made the predictions; None: the one that they name.
        progress: called with (stage, done, total).

    Returns:
        The evaluation with ``baselines`` in its summary, and the tables ``baselines`` (one row per target and
        baseline), ``baselines_per_column`` (r of each) and ``baselines_scores`` (the scores of the kind, of each).

    Raises:
        ConfigError: no such baseline.
        InputError: no dataset, or no training rows.
    """
    options = config or BaselinesConfig()
    names = chosen(options.names)
    evaluation = scoring.made()
    if scoring.dataset is None:
        raise InputError(f"baselines need the dataset: {'; '.join(scoring.notes) or 'add --data DATASET'}")
    runs = [run or run_of(item) for item in scoring.opened]
    files = [
        learned(item, scoring.dataset, of, options.train_tiles, options.seed)
        for item, of in zip(scoring.opened, runs, strict=True)
    ]
    rows = _rows(files, scoring.dataset, runs[0], options)
    found = _Beside()
    _add(found, "model", [_test_rows(file) for file in files], files)
    for done, name in enumerate(names):
        if progress:
            progress("baselines", done, len(names))
        _measure(found, name, rows, files, scoring, options)
    if progress:
        progress("baselines", len(names), len(names))
    return _joined(evaluation, found, files, options)


def chosen(names: Sequence[str]) -> list[str]:
    """Return the baselines that ``names`` stands for, the plain ones first.

    Raises:
        ConfigError: no such baseline, or none.
    """
    wanted = [name for name in names if name]
    if not wanted:
        raise ConfigError(f"--baselines: expected all, or some of: {', '.join(BASELINES.names())}")
    for name in wanted:
        if name != ALL:
            BASELINES.get(name)
    return BASELINES.names() if ALL in wanted else list(dict.fromkeys(wanted))


def built(name: str, options: BaselinesConfig) -> Baseline:
    """Return a baseline with the options that it is to have."""
    entry, tuned = BASELINES.get(name), {each.name: each for each in options.tuned}
    baseline: Baseline = entry.build(tuned.get(name) or entry.config())
    return baseline


def _rows(files: Sequence[Learned], dataset: Dataset, run: Path | None, options: BaselinesConfig) -> Rows:
    ids = np.unique(np.concatenate([np.concatenate([file.train, file.test]) for file in files]))
    return Rows.of(
        dataset,
        files[0].item.level,
        ids,
        channels=files[0].item.channels,
        run=run,
        tiles_per_bag=options.tiles_per_bag,
        seed=options.seed,
    )


def _measure(
    found: _Beside, name: str, rows: Rows, files: Sequence[Learned], scoring: Scoring, options: BaselinesConfig
) -> None:
    """Add one baseline, or why it is not there."""
    baseline = built(name, options)
    try:
        features = baseline.features(rows)
    except BaselineMissing as error:
        found.missing[name] = str(error)
        return
    if len(features) != len(rows):
        raise InputError(f"baseline '{name}' describes {len(features)} rows, expected {len(rows)}")
    predicted = []
    for file in files:
        train, test = (features[np.searchsorted(rows.ids, ids)] for ids in (file.train, file.test))
        labels = _shuffled(file, options.seed) if baseline.shuffles else file.labels
        fit = ridge(train, labels, test, file.groups, options.folds)
        predicted.append(fit.predicted if fit.features else _train_mean(file))
        found.strengths.setdefault(name, []).append(fit.strength)
        found.features[name] = fit.features
    found.says[name] = baseline.says
    _add(found, name, predicted, files)
    found.own.append(_own_scores(name, predicted, files, scoring))


def _train_mean(file: Learned) -> Floats:
    """Return the mean that the kinds of evaluation compare with, to the last bit: what ties with it must tie."""
    mean: Floats = np.broadcast_to(file.item.train_mean(), (len(file.test), file.labels.shape[1]))
    return mean


def _test_rows(file: Learned) -> Floats:
    return file.item.predicted[file.places]


def _add(found: _Beside, name: str, predicted: Sequence[Floats], files: Sequence[Learned]) -> None:
    of_target: dict[str, list[Scored]] = {}
    for file, values in zip(files, predicted, strict=True):
        measured = file.item.measured[file.places]
        for target, columns in file.item.targets().items():
            pair = Scored(predicted=values[:, columns], measured=measured[:, columns], units=file.units)
            of_target.setdefault(target, []).append(pair)
    found.scored[name] = of_target


def _shuffled(file: Learned, seed: int) -> Floats:
    """Return the labels of training rows, dealt anew within each block."""
    random, order = np.random.default_rng(seed), np.arange(len(file.labels))
    for block in np.unique(file.blocks):
        mine = np.flatnonzero(file.blocks == block)
        order[mine] = random.permutation(mine)
    labels: Floats = file.labels[order]
    return labels


def _own_scores(name: str, predicted: Sequence[Floats], files: Sequence[Learned], scoring: Scoring) -> pd.DataFrame:
    """Return what the kind of evaluation says of a baseline's predictions: the same scores, by the same tests."""
    replaced = [_in_place_of(file, values) for file, values in zip(files, predicted, strict=True)]
    few = {"resamples": _FEW_RESAMPLES} if "resamples" in type(scoring.options).model_fields else {}
    rows = scoring.scores.score(replaced, None, scoring.options.model_copy(update=few)).rows
    return rows.assign(baseline=name)


def _in_place_of(file: Learned, values: Floats) -> Predictions:
    predicted = file.item.predicted.copy()
    predicted[file.places] = values
    return replace(file.item, predicted=predicted)


def _joined(evaluation: Evaluation, found: _Beside, files: Sequence[Learned], options: BaselinesConfig) -> Evaluation:
    rows, targets, columns = [], [], []
    for target, of_model in found.scored["model"].items():
        model, model_draws = score(of_model), draws(of_model, options.resamples, options.seed)
        columns.append(_per_column(target, "model", of_model, files))
        mine: list[dict[str, Any]] = []
        for name in found.says:
            splits = found.scored[name][target]
            value = score(splits)
            apart = difference(model, value, model_draws, draws(splits, options.resamples, options.seed))
            mine.append(_row(target, name, value, apart, found))
            columns.append(_per_column(target, name, splits, files))
        rows += sorted(mine, key=lambda row: -row["score"])
        if mine:
            best = max(mine, key=lambda row: float(row["score"]))
            units = len(np.unique(np.concatenate([item.units for item in of_model]).astype(str)))
            targets.append({"target": target, "model": model, "units": units, "best": best["baseline"], **told(best)})
    summary = {
        "rows": rows,
        "targets": targets,
        "missing": found.missing,
        "unit": files[0].unit,
        "resamples": options.resamples,
        "options": options.plain(),
        "score": SCORE,
        "how": HOW,
        "training_rows": [len(file.train) for file in files],
    }
    tables = {KEY: pd.DataFrame(rows), f"{KEY}_per_column": pd.concat(columns, ignore_index=True)}
    if found.own:
        tables[f"{KEY}_scores"] = pd.concat(found.own, ignore_index=True)
    return replace(
        evaluation,
        summary={**evaluation.summary, KEY: summary},
        tables={**evaluation.tables, **tables},
    )


def _row(target: str, name: str, value: float, apart: Difference, found: _Beside) -> dict[str, Any]:
    return {
        "target": target,
        "baseline": name,
        "says": found.says[name],
        "score": value,
        **apart.plain(),
        "features": found.features[name],
        "strength": float(np.median(found.strengths[name])),
    }


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a headline says of the best baseline, from its row."""
    kept = ("says", "score", "difference", "difference_low", "difference_high", "p", "verdict")
    return {key: row[key] for key in kept}


def _per_column(target: str, name: str, splits: Sequence[Scored], files: Sequence[Learned]) -> pd.DataFrame:
    """Return r of each column of each split."""
    of_target = [file for file in files if target in file.item.targets()]
    tables = []
    for item, file in zip(splits, of_target, strict=True):
        genes: npt.NDArray[np.object_] = np.asarray(file.item.genes(), dtype=object)[file.item.targets()[target]]
        tables.append(
            pd.DataFrame(
                {
                    "target": target,
                    "predictor": name,
                    "seed": file.item.split_key,
                    "column": genes,
                    "r": column_scores(item),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
