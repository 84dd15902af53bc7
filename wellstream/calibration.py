"""Intervals of predictions of several splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from framework.evaluate import IntervalsSummary, write_intervals
from framework.progress import OnProgress


def intervals(
    predictions: Sequence[Path | str],
    out: Path | str,
    *,
    level: float = 0.9,
    new: Sequence[Path | str] = (),
    progress: OnProgress | None = None,
) -> IntervalsSummary:
    """Write predictions with intervals that the test parts of several splits calibrate (jackknife+).

    Args:
        predictions: files of ``wellstream predict``, one per target and split, or folders of them.
        out: folder; the file ``split-0/rna.h5ad`` goes to ``split-0/rna.h5ad`` in it.
        level: share of measured values that lie between ``lower`` and ``upper``.
        new: predictions of the same runs on other data; if given, these are written instead.
        progress: called with (stage, done, total) while the work goes on.

    Raises:
        WellstreamError: files that do not belong together, or too few rows.
    """
    return write_intervals(predictions, out, level, new, progress)
