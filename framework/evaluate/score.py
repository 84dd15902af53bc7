"""From prediction files to an evaluation folder: asks ``EVALUATIONS`` for the kind that takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata

from framework.config import StrictModel
from framework.data.dataset import Dataset
from framework.data.store import dataset_digest
from framework.errors import InputError
from framework.evaluate.evaluation import Evaluation, write_evaluation
from framework.evaluate.kinds import EVALUATIONS, Scored, kind_for
from framework.evaluate.predictions import TEST, Predictions, open_all


def evaluate(
    predictions: Sequence[Path | str | anndata.AnnData],
    dataset: Path | str | None = None,
    out: Path | str | None = None,
    config: StrictModel | None = None,
    kind: str | None = None,
) -> Evaluation:
    """Score prediction files of one kind.

    Args:
        predictions: files of ``wellstream predict`` or folders of them: any number for wells (splits, targets), one
            for tiles.
        dataset: the dataset they were made on; needed for the linear baseline of markers and for the count of genes
            that were filtered out before training.
        out: folder to write the evaluation to, or nothing.
        config: which test decides, and so on; of the class that the kind of evaluation was registered with.
        kind: entry of ``EVALUATIONS``; default: the only one that takes these files.

    Raises:
        InputError: a bad file, none, several of one (target, seed), a mix of wells and tiles, another dataset, or no
            evaluation that takes them.
        DatasetError: the dataset cannot be opened.
    """
    opened = open_all(predictions)
    opened_dataset = Dataset.open(dataset) if dataset is not None else None
    _check_same_dataset(opened, opened_dataset)
    name, scores = kind_for(opened, kind)
    options = _options(name, config)
    scored = scores.score(opened, opened_dataset, options)
    evaluation = Evaluation(kind=name, summary=_summary(name, opened, options, scored), tables=scored.tables)
    if out is not None:
        write_evaluation(out, evaluation)
    return evaluation


def _options(name: str, config: StrictModel | None) -> StrictModel:
    expected = EVALUATIONS.get(name).config
    if config is not None and not isinstance(config, expected):
        raise InputError(f"evaluation '{name}' takes {expected.__name__}, found {type(config).__name__}")
    options: StrictModel = expected() if config is None else config
    return options


def _check_same_dataset(opened: Sequence[Predictions], dataset: Dataset | None) -> None:
    """Refuse predictions of other wells or tiles than the dataset's: ids would point at other cells."""
    for item in opened:
        told = str(item.facts.get("dataset_digest", ""))
        if dataset is not None and told and told != dataset_digest(dataset):
            raise InputError(
                f"{item.name} was made on dataset '{item.facts.get('dataset', '')}' in another state "
                f"than {dataset.where}; predict again on this dataset"
            )


def _summary(name: str, opened: Sequence[Predictions], options: StrictModel, scored: Scored) -> dict[str, Any]:
    return {
        "kind": name,
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
        "notes": list(scored.notes),
    }
