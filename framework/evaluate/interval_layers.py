"""Intervals in files: layers ``lower`` and ``upper`` beside what was predicted, and how they were calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anndata
import numpy as np

from framework.evaluate.conformal import INTERVALS, LOWER, UPPER, Names, widths_for
from framework.evaluate.metrics import Floats
from framework.files.h5ad import numbers_of


def with_layers(data: anndata.AnnData, lower: Floats, upper: Floats, facts: Mapping[str, Any]) -> anndata.AnnData:
    """Return a copy with the layers ``lower`` and ``upper`` (n, P).

    Args:
        data: predictions in ``X``.
        lower, upper: ends.
        facts: how they were calibrated: at least ``level``, ``rows`` (that calibrated) and ``sources`` (of those).
    """
    made = data.copy()
    made.layers[LOWER], made.layers[UPPER] = lower.astype(np.float32), upper.astype(np.float32)
    made.uns["wellstream"] = {**made.uns["wellstream"], INTERVALS: dict(facts)}
    return made


def calibrated(
    data: anndata.AnnData,
    errors: Floats,
    level: float,
    *,
    sources: Sequence[str],
    groups: tuple[Names, Names] | None = None,
    by: tuple[str, ...] = (),
) -> anndata.AnnData:
    """Return predictions with split-conformal layers.

    Args:
        data: predictions (t, P) in ``X``.
        errors: (n, P) absolute errors of calibration rows.
        level: see ``conformal.half_widths``.
        sources: plates or exports of the calibration rows.
        groups: groups of calibration rows (n,) and of new rows (t,), which have widths of their own; None: one for all.
        by: columns that the groups are named by.
    """
    middle = numbers_of(data, "predictions")
    one = np.full(len(errors), "all", dtype=object), np.full(len(middle), "all", dtype=object)
    known, new = groups or one
    widths = widths_for(errors, known, new, level)
    facts = {
        "level": level,
        "method": "split",
        "by": list(by),
        "rows": int(np.isfinite(errors).any(axis=1).sum()),
        "sources": sorted(set(sources)),
        "pooled": list(widths.pooled),
    }
    return with_layers(data, middle - widths.values, middle + widths.values, facts)
