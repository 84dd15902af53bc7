"""Intervals for predictions, calibrated by the errors of the part ``val``, from which the model did not learn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np

from framework.data.format.schema import SOURCE
from framework.distributed import Ranks
from framework.errors import ConfigError, RunError
from framework.evaluate.conformal import group_names, least_rows, need_level
from framework.evaluate.interval_layers import calibrated
from framework.files.h5ad import numbers_of, read_h5ad
from framework.files.outputs import check_output_file, check_output_folder
from framework.run.apply.results import PredictSummary
from framework.run.apply.sharing import by_rank_0
from framework.run.apply.tables import write_table

CALIBRATION = "val"


def predict_with_intervals(
    predicted: Callable[[Path | str | None, Path | str, str], PredictSummary],
    data: Path | str | None,
    out: Path | str,
    part: str,
    *,
    level: float,
    by: tuple[str, ...] = (),
    ranks: Ranks | None = None,
) -> PredictSummary:
    """Write predictions with layers ``lower`` and ``upper``.

    The part ``val`` of the run's own dataset is predicted in the same way and calibrates the intervals. If the weights
    of the run were chosen by the validation loss, they fit that part a little, so the intervals are somewhat too
    narrow.

    Args:
        predicted: ``predict`` of a run, called with data, out and part.
        data, out, part: as ``predict``.
        level: share of measured values that an interval shall hold, 0..1.
        by: columns whose values have intervals of their own, as ``Metadata_Plate``; none: one for all.
        ranks: processes that share the work of ``predicted``, each of which makes this call; None: this one alone.

    Raises:
        ConfigError: a level out of range, or a column that the rows do not have.
        RunError: no part ``val``, nothing measured there, or too few rows for this level.
        WellstreamError: as ``predict``.
    """
    need_level(level)
    # Before the calibration; a run of several targets writes a folder.
    single = Path(out).suffix == ".h5ad"
    by_rank_0(ranks, lambda: check_output_file(out, ".h5ad") if single else check_output_folder(out))
    with tempfile.TemporaryDirectory() as beside:
        known = predicted(None, Path(beside) / "known", CALIBRATION)
        summary = predicted(data, out, part)
        by_rank_0(ranks, lambda: _widen(summary.files, known.files, level, by))
    return replace(summary, level=level)


def _widen(files: Sequence[Path], known: Sequence[Path], level: float, by: tuple[str, ...]) -> None:
    calibration = {file.stem: _read(file) for file in known}
    for file in files:
        new = _read(file)
        write_table(file, with_intervals(new, calibration[str(new.uns["wellstream"]["target"])], level, by))


def with_intervals(
    new: anndata.AnnData, calibration: anndata.AnnData, level: float, by: tuple[str, ...] = ()
) -> anndata.AnnData:
    """Return predictions with layers ``lower`` and ``upper``, from those of calibration rows beside what was measured.

    Raises:
        ConfigError, RunError: see ``predict_with_intervals``.
    """
    for column in by:
        if column not in new.obs or column not in calibration.obs:
            raise ConfigError(f"--interval-by: the rows have no column '{column}'; found: {', '.join(new.obs)}")
    errors = np.abs(numbers_of(calibration, CALIBRATION) - numbers_of(calibration, CALIBRATION, "measured"))
    rows = int(np.isfinite(errors).any(axis=1).sum())
    if rows < least_rows(level):
        raise RunError(
            f"an interval of level {level:g} needs {least_rows(level)} rows of part '{CALIBRATION}' that were "
            f"measured, found {rows}; give the split a larger part val, or ask for a lower --interval"
        )
    groups = group_names(calibration.obs, by), group_names(new.obs, by)
    return calibrated(new, errors, level, sources=calibration.obs[SOURCE].astype(str).tolist(), groups=groups, by=by)


def _read(file: Path) -> anndata.AnnData:
    return read_h5ad(file, error=RunError, what="predictions (.h5ad)", then="predict again")
