"""What comes after training: scores, pages, expression per cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata

from framework import evaluate as scoring
from framework import expression
from framework import features as feature_sets
from framework import report as pages
from framework.config import load_config
from framework.evaluate import EvaluateConfig, Evaluation
from framework.expression import ExpressionConfig, ExpressionSummary
from framework.features import FeatureEvaluateConfig
from framework.progress import OnProgress


def evaluate(
    predictions: Path | str | anndata.AnnData | Sequence[Path | str | anndata.AnnData],
    *,
    data: Path | str | None = None,
    out: Path | str | None = None,
    **options: Any,
) -> Evaluation:
    """Score predictions on held-out bags or cells.

    Args:
        predictions: files of ``Run.predict`` or what it returned: any number for wells, one for tiles.
        data: the dataset they were made on; needed for the linear baseline of markers.
        out: folder to write the evaluation to; default: nowhere.
        options: of ``EvaluateConfig``, as ``alpha=0.01``.

    Raises:
        WellstreamError: files that do not belong together, or an unknown option.
    """
    files = [predictions] if isinstance(predictions, Path | str | anndata.AnnData) else list(predictions)
    return scoring.evaluate(files, dataset=data, out=out, config=load_config(options, EvaluateConfig))


def evaluate_features(
    sets: Mapping[str, Path | str] | Sequence[Path | str],
    *,
    label: str,
    out: Path | str | None = None,
    progress: OnProgress | None = None,
    **options: Any,
) -> Evaluation:
    """Compare feature sets of the same cells: exact nearest neighbours, classifiers, distances, intervals.

    Args:
        sets: files, or name -> file.
        label: column with the class of each cell.
        out: folder to write the evaluation to; default: nowhere.
        progress: called with (stage, done, total).
        options: of ``FeatureEvaluateConfig``, as ``k=5``.

    Raises:
        WellstreamError: files of other cells, no such column, or an unknown option.
    """
    named = sets.items() if isinstance(sets, Mapping) else [("", file) for file in sets]
    files = [f"{name}={file}" if name else str(file) for name, file in named]
    config = load_config({"label": label, **options}, FeatureEvaluateConfig)
    return feature_sets.evaluate_features(feature_sets.open_same_cells(files), config, out, progress=progress)


def express(
    config: Path | str | Mapping[str, Any] | ExpressionConfig, out: Path | str, *, progress: OnProgress | None = None
) -> ExpressionSummary:
    """Learn expression from surface markers on single cells, score it, and give it to imaged cells (IFC-seq).

    Args:
        config: a YAML file, what it would hold as a mapping, or a config object.
        out: folder for tables, expression and ``report.html``.
        progress: called with (stage, done, total).

    Raises:
        WellstreamError: tables that cannot be used.
    """
    settings = config if isinstance(config, ExpressionConfig) else load_config(config, ExpressionConfig)
    summary = expression.express(settings, Path(out), progress=progress)
    pages.write_expression_report(Path(out))
    return summary


def report(
    run: Path | str,
    *,
    data: Path | str | None = None,
    evaluation: Path | str | None = None,
    embeddings: Path | str | None = None,
    out: Path | str | None = None,
) -> Path:
    """Write a self-contained HTML page about a run, and return its file.

    Args:
        run: run folder.
        data: the dataset it was trained on.
        evaluation: folder of ``evaluate``; default: ``evaluation`` in the run.
        embeddings: ``.h5ad`` of ``Run.embed``.
        out: the file; default: ``report.html`` in the run.

    Raises:
        WellstreamError: no run, or an input that cannot be read.
    """
    return pages.write_report(run, dataset=data, evaluation=evaluation, embeddings=embeddings, out=out)
