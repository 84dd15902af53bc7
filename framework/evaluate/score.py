"""From prediction files to an evaluation folder: asks ``EVALUATIONS`` for the kind that takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata

from framework.config import StrictModel, load_config
from framework.data.dataset import Dataset
from framework.errors import InputError
from framework.evaluate.covered import COVERAGE, coverage_of
from framework.evaluate.evaluation import Evaluation, write_evaluation
from framework.evaluate.kinds import EVALUATIONS, Scored, ScoresPredictions, kind_for
from framework.evaluate.named_dataset import dataset_of
from framework.evaluate.predictions import TEST, Predictions, open_all
from framework.files.outputs import check_output_folder
from framework.plugins import load_plugins, loaded_plugins


def evaluate(
    predictions: Sequence[Predictions | anndata.AnnData | Path | str],
    dataset: Path | str | None = None,
    out: Path | str | None = None,
    config: StrictModel | Mapping[str, Any] | None = None,
    kind: str | None = None,
    overrides: Sequence[str] = (),
) -> Evaluation:
    """Score prediction files of one kind.

    Args:
        predictions: files of ``wellstream predict`` or folders of them: any number for wells (splits, targets), one
            for tiles.
        dataset: the dataset they were made on, for the linear baseline of markers and the count of genes that were
            filtered out before training; None: the one that they name, where it is still there.
        out: folder to write the evaluation to, or nothing.
        config: which test decides, and so on; of the class that the kind of evaluation was registered with, or a
            mapping of its options.
        kind: entry of ``EVALUATIONS``; default: the only one that takes these files.
        overrides: options as text, ``alpha=0.01``; not with a config object.

    Raises:
        InputError: a bad file, none, several of one (target, seed), a mix of wells and tiles, another dataset, or no
            evaluation that takes them.
        ConfigError: an option that the kind of evaluation does not have.
        DatasetError: the given dataset cannot be opened.
        OSError: ``out`` cannot be a folder.
    """
    if out is not None:
        check_output_folder(out)
    evaluation = prepare(predictions, dataset, config, kind, overrides).made()
    if out is not None:
        write_evaluation(out, evaluation)
    return evaluation


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Prediction files that were opened, and the kind of evaluation that takes them.

    Attributes:
        kind: name of its entry in ``EVALUATIONS``.
        scores: the entry.
        opened: the files.
        options: options of the kind.
        dataset: dataset that they were made on, where it can be used.
        notes: what a reader must know of it.
    """

    kind: str
    scores: ScoresPredictions
    opened: Sequence[Predictions]
    options: StrictModel
    dataset: Dataset | None
    notes: Sequence[str]

    def made(self) -> Evaluation:
        """Return the evaluation. Raises InputError for files that do not go together."""
        scored = self.scores.score(self.opened, self.dataset, self.options)
        summary = _summary(self.kind, self.opened, self.options, scored, self.notes)
        found = coverage_of(self.opened)
        if found is None:
            return Evaluation(kind=self.kind, summary=summary, tables=scored.tables)
        summary = {**summary, COVERAGE: found.summary, "notes": [*summary["notes"], *found.notes]}
        return Evaluation(kind=self.kind, summary=summary, tables={**scored.tables, COVERAGE: found.table})


def prepare(
    predictions: Sequence[Predictions | anndata.AnnData | Path | str],
    dataset: Path | str | None = None,
    config: StrictModel | Mapping[str, Any] | None = None,
    kind: str | None = None,
    overrides: Sequence[str] = (),
) -> Scoring:
    """Open prediction files and find the kind of evaluation that takes them; arguments and errors of ``evaluate``."""
    opened = open_all(predictions)
    if kind is not None and kind not in EVALUATIONS.names():
        load_plugins([name for item in opened for name in item.plugins])
    name, scores = kind_for(opened, kind)
    options = _options(name, config, overrides)
    named, notes = dataset_of(opened, dataset)
    return Scoring(kind=name, scores=scores, opened=opened, options=options, dataset=named, notes=notes)


def _options(name: str, config: StrictModel | Mapping[str, Any] | None, overrides: Sequence[str]) -> StrictModel:
    expected: type[StrictModel] = EVALUATIONS.get(name).config
    if isinstance(config, StrictModel):
        if not isinstance(config, expected):
            raise InputError(f"evaluation '{name}' takes {expected.__name__}, found {type(config).__name__}")
        return config
    return load_config(dict(config or {}), expected, overrides)


def _summary(
    name: str, opened: Sequence[Predictions], options: StrictModel, scored: Scored, notes: Sequence[str]
) -> dict[str, Any]:
    plugins = loaded_plugins()
    return {
        "kind": name,
        **({"plugins": list(plugins)} if plugins else {}),
        "options": options.plain(),
        "predictions": [
            {
                "file": Path(item.name).name,
                "objective": str(item.facts.get("objective", "")),
                "dataset": str(item.facts.get("dataset", "")),
                "dataset_digest": str(item.facts.get("dataset_digest", "")),
                "split": item.split_key,
                "split_by": item.split_column,
                "targets": list(item.targets()) if item.level == "bag" else [],
                "test_rows": int(item.part(TEST).sum()),
            }
            for item in opened
        ],
        "rows": scored.rows.to_dict(orient="records"),
        "notes": [*scored.notes, *notes],
    }
