"""Intervals of predictions that hold a stated share of what is measured, by rows that taught the model nothing.

Split conformal: the half-width of a column is a quantile of the absolute errors of calibration rows. Where calibration
rows and new rows are exchangeable, an interval of level L holds a new value with a chance of at least L, whatever the
model is (Vovk et al. 2005; Lei et al. 2018, theorem 2.2). Within groups the same holds per group (Mondrian, Vovk 2012).
New plates are not exchangeable with old ones, so coverage is counted per plate and shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import PERTURBATION, SOURCE, STIMULATION
from framework.errors import ConfigError
from framework.evaluate.metrics import Floats

LOWER, UPPER = "lower", "upper"
"""Layers of a prediction file with intervals."""
INTERVALS = "intervals"
"""Of ``uns["wellstream"]``: level, columns that make a group, rows that calibrated."""
Names = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]


def half_widths(errors: Floats, level: float) -> Floats:
    """Return the half-width of each column.

    Args:
        errors: (n, P) absolute errors of calibration rows, NaN where nothing was measured.
        level: share of new values that an interval shall hold, 0..1.

    Returns:
        (P,), the k-th smallest error, k = ceil((n + 1) level); infinite where that is more than there are.
    """
    known = np.isfinite(errors).sum(axis=0)
    # A product such as 10 x 0.9 must not be rounded up because of its last bit.
    place = np.ceil((known + 1) * level - 1e-9).astype(np.int64)
    widths: Floats = np.full(errors.shape[1], np.inf)
    if len(errors) and (known == len(errors)).all():
        # All columns ask for the same place, and nothing else need be in order.
        return np.partition(errors, place[0] - 1, axis=0)[place[0] - 1] if 0 < place[0] <= len(errors) else widths
    ordered = np.sort(errors, axis=0)
    enough = (place <= known) & (known > 0)
    widths[enough] = ordered[np.maximum(place[enough], 1) - 1, np.flatnonzero(enough)]
    return widths


def need_level(level: float) -> None:
    """Raises ConfigError: no share between 0 and 1."""
    if not 0 < level < 1:
        raise ConfigError(f"interval: expected a share between 0 and 1, such as 0.9, found {level:g}")


def least_rows(level: float) -> int:
    """Return how many calibration rows a finite interval needs: 9 for 0.9, 19 for 0.95."""
    return max(1, math.ceil(level / (1 - level) - 1e-9))


@dataclass(frozen=True, kw_only=True, eq=False)
class Widths:
    """Half-widths for new rows.

    Attributes:
        values: (t, P).
        pooled: names of groups of new rows with too few calibration rows, which have the half-width of all of them.
    """

    values: Floats
    pooled: tuple[str, ...]


def widths_for(errors: Floats, groups: Names, new_groups: Names, level: float) -> Widths:
    """Return half-widths of new rows, each from the calibration rows of its own group.

    Args:
        errors: (n, P) absolute errors of calibration rows.
        groups: (n,) their groups.
        new_groups: (t,) groups of new rows.
        level: see ``half_widths``.
    """
    values = np.repeat(half_widths(errors, level)[None], len(new_groups), axis=0)
    pooled = []
    for name in dict.fromkeys(new_groups.tolist()):
        mine = errors[groups == name]
        if len(mine) < least_rows(level):
            pooled.append(str(name))
        else:
            values[new_groups == name] = half_widths(mine, level)
    return Widths(values=values, pooled=tuple(pooled))


def group_names(rows: pd.DataFrame, by: tuple[str, ...]) -> Names:
    """Return the group of each row, (n,); one for all where ``by`` names no column."""
    if not by:
        return np.full(len(rows), "all", dtype=object)
    return rows[list(by)].astype(str).agg(" ".join, axis=1).to_numpy(dtype=object)


def coverage(
    lower: Floats, upper: Floats, measured: Floats, rows: pd.DataFrame, columns: list[str], calibrated: frozenset[str]
) -> pd.DataFrame:
    """Count how often intervals hold what was measured.

    Args:
        lower, upper: (t, P) ends.
        measured: (t, P), NaN where unknown.
        rows: (t rows), the table of bags or tiles.
        columns: names of genes or markers, (P,).
        calibrated: plates (sources) that had calibration rows.

    Returns:
        One row per ``of``: ``all``, ``column``, ``plate``, ``condition``; with ``name``, ``covered`` (0..1), ``n``
        (pairs of row and column), ``width`` (median), ``new_plate``.
    """
    known = np.isfinite(measured)
    held = known & (measured >= lower) & (measured <= upper)
    width = np.where(known, upper - lower, np.nan)
    found = [_row("all", "all", held, known, width)]
    found += [
        _row("column", name, held[:, [place]], known[:, [place]], width[:, [place]])
        for place, name in enumerate(columns)
    ]
    by = [column for column in (PERTURBATION, STIMULATION) if column in rows.columns]
    for of, keys in (("plate", [SOURCE]), ("condition", by)):
        names = group_names(rows, tuple(keys)) if keys else np.empty(0, dtype=object)
        for name in dict.fromkeys(names.tolist()):
            mine = names == name
            row = _row(of, str(name), held[mine], known[mine], width[mine])
            found.append({**row, "new_plate": of == "plate" and str(name) not in calibrated})
    return pd.DataFrame(found)


def _row(of: str, name: str, held: Mask, known: Mask, width: Floats) -> dict[str, object]:
    count = int(known.sum())
    finite = width[np.isfinite(width)]
    return {
        "of": of,
        "name": name,
        "covered": float(held.sum() / count) if count else float("nan"),
        "n": count,
        "width": float(np.median(finite)) if len(finite) else float("inf"),
        "new_plate": False,
    }
