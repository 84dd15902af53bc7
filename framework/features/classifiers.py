"""Trained classifiers on features: logistic regression and random forest, by folds or from train to test part.

Source: Lu 2019, S2 Table: scikit-learn, L1 penalty with balanced class weights; 500 trees with 20 % of the features to
determine a split, balanced class weights; the mean balanced accuracy over five folds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from framework.errors import InputError
from framework.features.cells import Cells
from framework.features.classes import balanced_accuracy
from framework.features.config import FeatureEvaluateConfig
from framework.features.neighbours import Ints, standardise

_ROUNDS = 300


def classify(
    name: str, values: npt.NDArray[np.float32], cells: Cells, config: FeatureEvaluateConfig
) -> tuple[Ints, list[float], list[str]]:
    """Predict the class of every scored cell by a classifier that has not seen it.

    Args:
        name: ``logistic`` or ``forest``.
        values: (n, d) features of the cells, not standardised: each fit takes mean and sd of its own train cells.
        cells: labels and parts.
        config: folds, trees, seed.

    Returns:
        Predicted class (n,), -1 for cells that are not scored; balanced accuracy of each fold; notes.

    Raises:
        InputError: a class has fewer cells (or fields) than there are folds.
    """
    predicted = np.full(len(values), -1, dtype=np.int64)
    scores, notes = [], []
    for train, test in _splits(cells, config):
        chosen = np.zeros(len(values), dtype=np.bool_)
        chosen[train] = True
        scaled, _ = standardise(values, chosen)
        model = _model(name, config)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(scaled[train], cells.taught[train])
        if any(issubclass(item.category, ConvergenceWarning) for item in caught):
            notes.append(f"{name}: not converged after {_ROUNDS} rounds in some fold")
        predicted[test] = model.predict(scaled[test])
        scores.append(balanced_accuracy(cells.label[test], predicted[test], len(cells.classes)))
    return predicted, scores, list(dict.fromkeys(notes))


def _model(name: str, config: FeatureEvaluateConfig) -> LogisticRegression | RandomForestClassifier:
    if name == "logistic":
        return LogisticRegression(
            l1_ratio=1.0,
            solver="saga",
            class_weight="balanced",
            max_iter=_ROUNDS,
            tol=1e-3,
            random_state=config.seed,
        )
    return RandomForestClassifier(
        n_estimators=config.trees, max_features=0.2, class_weight="balanced", random_state=config.seed, n_jobs=-1
    )


def _splits(cells: Cells, config: FeatureEvaluateConfig) -> Iterator[tuple[Ints, Ints]]:
    if cells.protocol == "train_test":
        yield np.flatnonzero(cells.train), np.flatnonzero(cells.test)
        return
    grouped = config.fold_by == "group" or cells.protocol == "leave_group_out"
    counted = np.unique(np.stack([cells.label, cells.group]), axis=1)[0] if grouped else cells.label
    fewest = np.bincount(counted, minlength=len(cells.classes))
    if fewest.min() < config.folds:
        what = "fields" if grouped else "cells"
        raise InputError(
            f"class '{cells.classes[int(fewest.argmin())]}' has {int(fewest.min())} {what}, fewer than the "
            f"{config.folds} folds; lower folds" + (", or fold by cell" if grouped else "")
        )
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    folds = kind(config.folds, shuffle=True, random_state=config.seed)
    yield from folds.split(np.zeros(len(cells.label)), cells.label, cells.group if grouped else None)
