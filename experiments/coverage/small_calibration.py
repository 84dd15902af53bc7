"""How much the share that intervals hold varies with the few cells that calibrated them.

Any two groups of held-out cells calibrate the intervals of the other held-out cells. All of them taught the network
nothing, so they are exchangeable, and only the choice of the two makes the shares differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from framework.errors import InputError
from framework.evaluate.conformal import half_widths
from framework.evaluate.predictions import TEST, Predictions

GROUP = "Metadata_Group"
"""Column of cells with their group."""


def by_pairs(opened: Sequence[Predictions], level: float) -> dict[str, Any]:
    """Return the share of measured values that intervals hold when two groups calibrate them.

    Args:
        opened: predictions of single cells, one per split; their test rows have three groups or more.
        level: share that an interval shall hold, 0..1.

    Returns:
        ``pairs``, how many pairs of groups there are over all splits; ``mean`` of their shares, and ``low`` and
        ``high``, between which 95 % of them lie.

    Raises:
        InputError: predictions without groups, or with fewer than three.
    """
    shares = []
    for item in opened:
        test = item.part(TEST)
        groups = item.rows[GROUP][test].astype(str).to_numpy() if GROUP in item.rows else np.empty(0, dtype=str)
        names = np.unique(groups)
        if len(names) < 3:
            raise InputError(f"{item.name}: expected test rows of three groups ('{GROUP}') or more, found {len(names)}")
        errors = np.abs(item.predicted[test] - item.measured[test])
        for pair in combinations(names.tolist(), 2):
            calibrates = np.isin(groups, pair)
            held = errors[~calibrates] <= half_widths(errors[calibrates], level)
            shares.append(float(held[np.isfinite(errors[~calibrates])].mean()))
    low, high = np.quantile(shares, (0.025, 0.975))
    return {"pairs": len(shares), "mean": float(np.mean(shares)), "low": float(low), "high": float(high)}
