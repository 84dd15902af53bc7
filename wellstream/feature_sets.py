"""Feature sets of the same cells, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework import features as feature_sets
from framework import report as pages
from framework.config import load_config
from framework.errors import ConfigError
from framework.evaluate import Evaluation
from framework.features import FeatureEvaluateConfig
from framework.progress import OnProgress


def evaluate_features(
    sets: Mapping[str, Path | str] | Sequence[Path | str],
    *,
    label: str,
    out: Path | str | None = None,
    data: Path | str | None = None,
    page: bool = False,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    **options: Any,
) -> Evaluation:
    """Compare feature sets of the same cells: exact nearest neighbours, classifiers, distances, intervals.

    Args:
        sets: files (``[NAME=]FILE[#KEY]``) or folders of them, or name -> file; the first is compared with.
        label: column with the class of each cell.
        out: folder to write the evaluation to; default: nowhere.
        data: the dataset of the cells, for crops on the page.
        page: write figures and ``report.html`` too, into ``out``.
        overrides: further options as text, as ``["trees=100"]``.
        progress: called with (stage, done, total).
        options: of ``FeatureEvaluateConfig``, as ``k=5``.

    Raises:
        WellstreamError: files of other cells, no such column, or an unknown option.
    """
    if page and out is None:
        raise ConfigError("page: a page is written into a folder; name one with out")
    named = sets.items() if isinstance(sets, Mapping) else [("", file) for file in sets]
    files = [f"{name}={file}" if name else str(file) for name, file in named]
    config = load_config({"label": label, **options}, FeatureEvaluateConfig, overrides)
    tables = feature_sets.open_same_cells(files)
    evaluation = feature_sets.evaluate_features(tables, config, out, progress=progress)
    if page and out is not None:
        pages.write_feature_report(out, tables, dataset=data, progress=progress)
    return evaluation
