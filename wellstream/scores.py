"""Scores of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata

from framework import evaluate as scoring
from framework.baselines import asked, with_baselines
from framework.errors import InputError
from framework.evaluate import Evaluation
from framework.files.h5ad import read_h5ad
from framework.files.outputs import check_output_folder
from framework.plugins import load_plugins
from framework.progress import OnProgress
from framework.run import RunFolder, open_run, predict


def evaluate(
    predictions: Path | str | anndata.AnnData | Sequence[Path | str | anndata.AnnData],
    *,
    data: Path | str | None = None,
    out: Path | str | None = None,
    kind: str | None = None,
    plugins: Sequence[str] = (),
    overrides: Sequence[str] = (),
    baselines: str | Sequence[str] = (),
    run: Path | str | None = None,
    progress: OnProgress | None = None,
    **options: Any,
) -> Evaluation:
    """Score predictions on held-out bags or cells.

    Args:
        predictions: files of ``Run.predict`` or its results: any number for wells, one for tiles. Or a run folder; its
            test part is then predicted if that is not done yet.
        data: the dataset they were made on; default: the dataset that they name.
        out: folder to write the evaluation to; default: ``evaluation`` in the run, else nowhere.
        kind: entry of ``EVALUATIONS``; default: the only one that takes these files.
        plugins: entry points, or files after ``framework.plugins.permit_code``, that add entries to ``EVALUATIONS``.
        overrides: options as text, such as ``["alpha=0.01"]``; those of baselines as
            ``["baselines.resamples=500"]``, and which ones as ``["baselines=all"]``.
        baselines: ``"all"``, or names of ``BASELINES``, such as ``"count,intensity"``: each is scored on the same rows
            by the same test, and the headline says whether the model is above the best one.
        run: folder of the run that made the predictions, for baselines; default: the one that they name.
        progress: called with (stage, done, total) while the work goes on.
        options: options of the kind of evaluation, such as ``alpha=0.01``; see its entry in ``EVALUATIONS``.

    Raises:
        WellstreamError: files that do not belong together, or an unknown option.
    """
    load_plugins(plugins)
    files: list[Path | str | anndata.AnnData]
    files = [predictions] if isinstance(predictions, Path | str | anndata.AnnData) else list(predictions)
    runs = [Path(file) for file in files if isinstance(file, Path | str) and is_run(file)]
    if runs:
        if len(files) > 1:
            raise InputError(
                f"{runs[0]}: one run folder can be evaluated at a time; to evaluate several runs, give their "
                "prediction files"
            )
        run, out = run or runs[0], out or runs[0] / "evaluation"
        files = list(predictions_of_run(runs[0], data, progress))
    config, others = asked(baselines, overrides)
    if config is None:
        return scoring.evaluate(files, data, out, options, kind, others)
    if out is not None:
        check_output_folder(out)
    prepared = scoring.prepare(files, data, options, kind, others)
    made = with_baselines(prepared, config, None if run is None else Path(run), progress)
    if out is not None:
        scoring.write_evaluation(out, made)
    return made


def is_run(place: Path | str) -> bool:
    """Whether a path is a run folder."""
    return RunFolder(root=Path(place)).config_file.is_file()


def predictions_of_run(run: Path, data: Path | str | None, progress: OnProgress | None) -> tuple[Path, ...]:
    """Return prediction files of the test part of a run; they are made if none exist for its present weights."""
    folder = run / "predictions"
    there = sorted(folder.glob("*.h5ad"))
    weights = open_run(run).weights
    if there and all(_facts(file).get("weights") == weights for file in there):
        return tuple(there)
    return predict(run, data, folder, progress=progress).files


def _facts(file: Path) -> Mapping[str, Any]:
    data = read_h5ad(file, error=InputError, what="predictions (.h5ad)", then="remove it, and evaluate again")
    found = data.uns.get("wellstream")
    return found if isinstance(found, Mapping) else {}
