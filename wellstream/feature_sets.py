"""Feature sets of the same cells, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework import features as feature_sets
from framework import report as pages
from framework.baselines import asked, features_with_baselines
from framework.config import load_config
from framework.errors import ConfigError
from framework.evaluate import Evaluation, write_evaluation
from framework.features import FeatureEvaluateConfig
from framework.files.outputs import check_output_folder
from framework.progress import OnProgress


def evaluate_features(
    sets: Mapping[str, Path | str] | Sequence[Path | str],
    *,
    label: str,
    out: Path | str | None = None,
    data: Path | str | None = None,
    page: bool = False,
    baselines: str | Sequence[str] = (),
    run: Path | str | None = None,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    **options: Any,
) -> Evaluation:
    """Compare feature sets of the same cells: exact nearest neighbours, classifiers, distances, intervals.

    Args:
        sets: files (``[NAME=]FILE[#KEY]``), folders of them, or name -> file; all are compared with the first.
        label: column with the class of each cell.
        out: folder to write the evaluation to; default: nowhere.
        data: the dataset of the cells, for crops on the page and for baselines. Baselines use the dataset that the
            files name if none is given.
        page: write figures and ``report.html`` too, into ``out``.
        baselines: ``"all"``, or names of ``BASELINES``, such as ``"count,intensity"``: their features are compared on
            the same cells, and the headline says whether each feature set is above the best one.
        run: folder of the run that made the features, for baselines; default: the one that the files name.
        overrides: further options as text, such as ``["trees=100"]``; those of baselines as
            ``["baselines.seed=1"]``.
        progress: called with (stage, done, total) while the work goes on.
        options: options of ``FeatureEvaluateConfig``, such as ``k=5``.

    Raises:
        WellstreamError: files of other cells, no such column, or an unknown option.
    """
    if page and out is None:
        raise ConfigError("page: a page is written into a folder; name one with out")
    named = sets.items() if isinstance(sets, Mapping) else [("", file) for file in sets]
    files = [f"{name}={file}" if name else str(file) for name, file in named]
    beside, others = asked(baselines, overrides)
    config = load_config({"label": label, **options}, FeatureEvaluateConfig, others)
    if out is not None:
        check_output_folder(out)
    tables = feature_sets.open_same_cells(files)
    if beside is None:
        evaluation = feature_sets.evaluate_features(tables, config, progress=progress)
    else:
        of_run = None if run is None else Path(run)
        evaluation = features_with_baselines(tables, config, beside, dataset=data, run=of_run, progress=progress)
    if out is not None:
        write_evaluation(out, evaluation)
    if page and out is not None:
        pages.write_feature_report(out, tables, dataset=data, progress=progress)
    return evaluation
