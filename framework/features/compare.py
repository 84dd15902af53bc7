"""From feature files to one comparison: the same cells, the same votes, the same resamples for every feature set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError
from framework.evaluate.copies import copies
from framework.evaluate.evaluation import Evaluation, write_evaluation
from framework.evaluate.intervals import difference_interval, quantile_interval
from framework.features.cells import Cells, choose_cells
from framework.features.classes import Resamples, balanced_accuracy, confusion, recalls
from framework.features.classifiers import classify
from framework.features.compartments import two_compartments
from framework.features.config import FeatureEvaluateConfig
from framework.features.image_distances import ALL, Images, normalised_distances
from framework.features.neighbours import Ints, nearest, standardise, vote_for_each
from framework.features.table import FeatureTable, column, open_same_cells
from framework.files.outputs import check_output_folder
from framework.progress import OnProgress

_FEATURES_TELL = 4
"""Cells with equal values of this many features, or of more, are copies."""


@dataclass(kw_only=True)
class _Found:
    """What is found of one feature set after the other; keys are (set, classifier)."""

    notes: list[str]
    constant: dict[str, int] = field(default_factory=dict)
    predicted: dict[tuple[str, str], Ints] = field(default_factory=dict)
    folds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    by_k: list[dict[str, Any]] = field(default_factory=list)
    distances: list[pd.DataFrame] = field(default_factory=list)
    between: list[tuple[pd.DataFrame, pd.DataFrame]] = field(default_factory=list)

    def measure(self, table: FeatureTable, cells: Cells, config: FeatureEvaluateConfig) -> None:
        """Add a feature set."""
        name, values = table.name, table.values[cells.rows]
        scaled, constant = standardise(values, cells.train)
        self.constant[name] = constant
        if constant:
            self.notes.append(f"{name}: {constant} of {values.shape[1]} features are constant and count 0")
        votes = neighbour_votes(scaled, cells, (*config.ks, config.k))
        self.by_k += [{"set": name, "k": k, "balanced": _score(cells, voted)} for k, voted in sorted(votes.items())]
        self.predicted[name, "knn"] = votes[config.k]
        for classifier in trained(config):
            key = name, classifier
            self.predicted[key], self.folds[key], said = classify(classifier, values, cells, config)
            self.notes += [f"{name}: {note}" for note in said]
        self.distances.append(_distances(table, scaled, cells, config))
        self.between += [_between(table, scaled, cells, config, pair) for pair in config.compartments]


def trained(config: FeatureEvaluateConfig) -> list[str]:
    """Return the classifiers beside nearest neighbours, which are always asked."""
    return [name for name in dict.fromkeys(config.classifiers) if name != "knn"]


def evaluate_features(
    sources: Sequence[Path | str | FeatureTable],
    config: FeatureEvaluateConfig,
    out: Path | str | None = None,
    progress: OnProgress | None = None,
) -> Evaluation:
    """Compare feature sets of the same cells.

    Args:
        sources: ``[NAME=]FILE[#KEY]`` or folders; the first is what the others are compared with.
        config: labels, protocol, classifiers.
        out: folder to write the evaluation to, or nothing.
        progress: called with (stage, done, total).

    Returns:
        An evaluation of kind ``features``: one row per feature set with balanced accuracies, their intervals and the
        difference to the first; tables ``per_set``, ``per_class``, ``per_k``, ``confusion``, ``per_cell``, and
        ``distances``, ``compartments`` and ``spread`` where they were asked for or can be measured.

    Raises:
        InputError: files that cannot be read or hold different cells, or labels and parts that do not fit the options.
    """
    if out is not None:
        check_output_folder(out)
    tables = _opened(sources)
    cells = choose_cells(tables[0], config)
    found = _Found(notes=[*cells.notes, *_copies(tables[0], cells)])
    for done, table in enumerate(tables):
        if progress:
            progress("evaluate features", done, len(tables))
        found.measure(table, cells, config)
    if progress:
        progress("evaluate features", len(tables), len(tables))
    rows, plan = _rows(tables, cells, config, found)
    made = {
        "per_set": pd.DataFrame(rows),
        "per_k": pd.DataFrame(found.by_k),
        "distances": pd.concat(found.distances, ignore_index=True),
        **_of_predictions(tables[0], cells, found.predicted),
    }
    for kind, frames in zip(("compartments", "spread"), zip(*found.between, strict=True), strict=False):
        made[kind] = pd.concat(frames, ignore_index=True)
    summary = _summary(tables, cells, config, rows, plan.unit, [*found.notes, *plan.notes])
    evaluation = Evaluation(kind="features", summary=summary, tables=made)
    if out is not None:
        write_evaluation(out, evaluation)
    return evaluation


def _of_predictions(
    table: FeatureTable, cells: Cells, predicted: dict[tuple[str, str], Ints]
) -> dict[str, pd.DataFrame]:
    return {
        "per_class": _per_class(cells, predicted),
        "confusion": _confusions(cells, predicted),
        "per_cell": _per_cell(table, cells, predicted),
    }


def neighbour_votes(scaled: npt.NDArray[np.float32], cells: Cells, ks: Sequence[int]) -> dict[int, Ints]:
    """Return k -> predicted class (n,) of each scored cell (-1 for others) for every k there are enough cells for.

    Raises:
        InputError: fewer cells to vote than the last of ``ks``, the one that counts.
    """
    own = np.arange(len(scaled), dtype=np.int64) if cells.protocol == "leave_one_out" else cells.group
    train, test = cells.train, cells.test
    grouped = cells.protocol != "train_test"
    voters = int(train.sum())
    if grouped:
        voters -= int(np.bincount(np.unique(own, return_inverse=True)[1].ravel()).max())
    if voters < ks[-1]:
        raise InputError(f"k = {ks[-1]} needs as many other cells to vote, found {voters}; lower k")
    possible = sorted({k for k in ks if k <= voters})
    found = nearest(
        scaled[test],
        scaled[train],
        possible[-1],
        query_groups=own[test] if grouped else None,
        reference_groups=own[train] if grouped else None,
    )
    votes = {}
    for k, voted in vote_for_each(found, cells.taught[train], len(cells.classes), possible).items():
        votes[k] = np.full(len(scaled), -1, dtype=np.int64)
        votes[k][test] = voted
    return votes


def _copies(table: FeatureTable, cells: Cells) -> list[str]:
    """Say which cells are copies, by a set of more than a few features: cells may well be equal in those."""
    if table.values.shape[1] < _FEATURES_TELL:
        return []
    return copies(table.values[cells.rows], table.cells.index[cells.rows], "cells")


def _opened(sources: Sequence[Path | str | FeatureTable]) -> list[FeatureTable]:
    tables = [item for item in sources if isinstance(item, FeatureTable)]
    files = [item for item in sources if not isinstance(item, FeatureTable)]
    if tables and files:
        raise InputError("expected files of features or opened tables, found both")
    return tables or open_same_cells(files)


def _summary(
    tables: Sequence[FeatureTable],
    cells: Cells,
    config: FeatureEvaluateConfig,
    rows: Sequence[Mapping[str, Any]],
    unit: str,
    notes: Sequence[str],
) -> dict[str, Any]:
    return {
        "kind": "features",
        "options": config.plain(),
        "protocol": cells.protocol,
        "fields": list(cells.group_columns),
        "resampled": unit,
        "n_cells": len(cells.rows),
        "n_test": int(cells.test.sum()),
        "n_fields": len(np.unique(cells.group)),
        "classes": list(cells.classes),
        "files": [{"set": table.name, "file": table.file, "features": table.kind} for table in tables],
        "rows": [*rows, *({"set": name, "missing": reason} for name, reason in config.missing.items())],
        "notes": list(dict.fromkeys(notes)),
    }


def _score(cells: Cells, predicted: Ints) -> float:
    return balanced_accuracy(cells.label[cells.test], predicted[cells.test], len(cells.classes))


def _rows(
    tables: Sequence[FeatureTable],
    cells: Cells,
    config: FeatureEvaluateConfig,
    found: _Found,
) -> tuple[list[dict[str, Any]], Resamples]:
    truth, test, predicted = cells.label[cells.test], cells.test, found.predicted
    plan = Resamples.plan(truth, cells.group[test], seed=config.seed, count=config.resamples)
    resampled = plan.scores(truth, {key: values[test] for key, values in predicted.items()}, len(cells.classes))
    rows = []
    for table in tables:
        row: dict[str, Any] = {
            "set": table.name,
            "features": table.kind,
            "width": table.values.shape[1],
            "constant": found.constant[table.name],
            "cells": int(test.sum()),
            "accuracy": float((predicted[table.name, "knn"][test] == truth).mean()),
        }
        for name in ("knn", *trained(config)):
            mine, first = resampled[table.name, name], resampled[tables[0].name, name]
            row[name] = _score(cells, predicted[table.name, name])
            row[f"{name}_low"], row[f"{name}_high"] = quantile_interval(mine)
            row[f"{name}_difference"] = row[name] - _score(cells, predicted[tables[0].name, name])
            apart = difference_interval(row[f"{name}_difference"], mine - first)
            row[f"{name}_difference_low"], row[f"{name}_difference_high"] = apart
            if (table.name, name) in found.folds:
                row[f"{name}_folds"] = float(np.mean(found.folds[table.name, name]))
        rows.append(row)
    return rows, plan


def _per_class(cells: Cells, predicted: Mapping[tuple[str, str], Ints]) -> pd.DataFrame:
    truth, n = cells.label[cells.test], len(cells.classes)
    counts = np.bincount(truth, minlength=n)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "set": name,
                    "classifier": classifier,
                    "class": cells.classes,
                    "cells": counts,
                    "recall": recalls(truth, values[cells.test], n),
                }
            )
            for (name, classifier), values in predicted.items()
        ],
        ignore_index=True,
    )


def _confusions(cells: Cells, predicted: Mapping[tuple[str, str], Ints]) -> pd.DataFrame:
    """Counts in long form: set, classifier, class, predicted, cells."""
    n = len(cells.classes)
    names = np.asarray(cells.classes, dtype=object)
    tables = []
    for (name, classifier), values in predicted.items():
        counts = confusion(cells.label[cells.test], values[cells.test], n)
        tables.append(
            pd.DataFrame(
                {
                    "set": name,
                    "classifier": classifier,
                    "class": np.repeat(names, n),
                    "predicted": np.tile(names, n),
                    "cells": counts.ravel(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _per_cell(table: FeatureTable, cells: Cells, predicted: Mapping[tuple[str, str], Ints]) -> pd.DataFrame:
    names = np.asarray([*cells.classes, ""], dtype=object)
    own = {"cell": table.cells.index[cells.rows].astype(str), "class": names[cells.label]}
    own |= {"field": cells.group, "scored": cells.test}
    said = {f"{name} {classifier}": names[values] for (name, classifier), values in predicted.items()}
    return pd.DataFrame(own | said)


def _codes(table: FeatureTable, name: str | None, cells: Cells) -> Ints | None:
    if name is None:
        return None
    text = column(table, name).fillna("").iloc[cells.rows].to_numpy(dtype=str)
    return np.asarray(np.unique(text, return_inverse=True)[1], dtype=np.int64)


def _distances(
    table: FeatureTable, scaled: npt.NDArray[np.float32], cells: Cells, config: FeatureEvaluateConfig
) -> pd.DataFrame:
    """Distances between images, over all cells; NaN where no label has two images."""
    line, protein = (_codes(table, name, cells) for name in (config.cell_line, config.protein))
    if config.protein == config.label:
        protein = None
    images = Images.of(cells.label, cells.group, line, protein)
    if not cells.group_columns:
        return pd.DataFrame({"set": [table.name], "lines": ["any"], "label": [ALL], "pairs": [0], "distance": [np.nan]})
    found = normalised_distances(
        scaled,
        images,
        cells.classes,
        pairs=config.pairs,
        controlled_pairs=config.controlled_pairs,
        normalise=config.normalise,
        seed=config.seed,
    )
    found.insert(0, "set", table.name)
    return found


def _between(
    table: FeatureTable, scaled: npt.NDArray[np.float32], cells: Cells, config: FeatureEvaluateConfig, pair: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    first, second = (part.strip() for part in pair.split("/"))
    labels = np.asarray(cells.classes, dtype=object)[cells.label]
    of_cell, spread = two_compartments(scaled, labels, first, second, cells.group)
    of_cell.insert(0, "cell", table.cells.index[cells.rows[of_cell.pop("row")]].astype(str))
    for frame in (of_cell, spread):
        frame.insert(0, "pair", f"{first}/{second}")
        frame.insert(0, "set", table.name)
    return of_cell, spread
