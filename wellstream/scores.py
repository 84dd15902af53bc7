"""Scores of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata

from framework import evaluate as scoring
from framework.evaluate import Evaluation
from framework.plugins import load_plugins


def evaluate(
    predictions: Path | str | anndata.AnnData | Sequence[Path | str | anndata.AnnData],
    *,
    data: Path | str | None = None,
    out: Path | str | None = None,
    kind: str | None = None,
    plugins: Sequence[str] = (),
    overrides: Sequence[str] = (),
    **options: Any,
) -> Evaluation:
    """Score predictions on held-out bags or cells.

    Args:
        predictions: files of ``Run.predict`` or what it returned: any number for wells, one for tiles.
        data: the dataset they were made on; default: the one that they name.
        out: folder to write the evaluation to; default: nowhere.
        kind: entry of ``EVALUATIONS``; default: the only one that takes these files.
        plugins: entry points, or files after ``framework.plugins.permit_code``, that add entries to ``EVALUATIONS``.
        overrides: options as text, as ``["alpha=0.01"]``.
        options: of the kind of evaluation, as ``alpha=0.01``; see its entry in ``EVALUATIONS``.

    Raises:
        WellstreamError: files that do not belong together, or an unknown option.
    """
    load_plugins(plugins)
    files = [predictions] if isinstance(predictions, Path | str | anndata.AnnData) else list(predictions)
    return scoring.evaluate(files, data, out, options, kind, overrides)
