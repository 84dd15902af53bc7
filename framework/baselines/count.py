"""``count``: how many cells there are, and how near they lie; of a cell, how many are around it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, Floats
from framework.baselines.rows import Rows


class CountConfig(BaselineConfig):
    """Options of ``count``."""

    name: Literal["count"] = "count"
    neighbours: tuple[int, ...] = (1, 4, 16)
    """Which neighbours measure the density: the distance from a cell to its first, 4th and 16th neighbour in its
    field."""


@BASELINES.register("count", CountConfig)
class Count(Baseline):
    """See the module."""

    says = "number of cells and their density"

    def features(self, rows: Rows) -> Floats:
        """Return the count of the bag, its logarithm and the count per field; of cells also how far neighbours are."""
        bags = rows.bags
        cells = bags["n_cells"].to_numpy(dtype=np.float64)
        fields = np.maximum(bags["n_sites"].to_numpy(dtype=np.float64), 1.0)
        columns = [cells, np.log1p(cells), cells / fields]
        if rows.level == "bag":
            distances = _distances(rows.dataset.cells(), self.options.neighbours)
            mean = distances.groupby("bag").mean()
            return np.column_stack([*columns, mean.reindex(rows.ids).to_numpy(dtype=np.float64)])
        found = rows.dataset.cells()
        own = rows.dataset.tile_table(["cell", "bag", "site"]).iloc[rows.ids]
        in_field = found.groupby(["bag", "site"]).size()
        keys = pd.MultiIndex.from_frame(own[["bag", "site"]])
        columns.append(in_field.reindex(keys).to_numpy(dtype=np.float64))
        distances = _distances(found, self.options.neighbours).drop(columns="bag")
        return np.column_stack([*columns, distances.iloc[own["cell"]].to_numpy(dtype=np.float64)])


def _distances(cells: pd.DataFrame, neighbours: tuple[int, ...]) -> pd.DataFrame:
    """Return ``bag`` and the logarithm of the distance to each of some neighbours, one row per cell found.

    NaN where a cell has no place or its field too few cells.
    """
    found = np.full((len(cells), len(neighbours)), np.nan)
    places = cells[["y_px", "x_px"]].to_numpy(dtype=np.float64)
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    for rows in pd.DataFrame({"row": known}).groupby([cells["bag"].to_numpy()[known], cells["site"].to_numpy()[known]]):
        mine = rows[1]["row"].to_numpy()
        asked = [k + 1 for k in neighbours if k < len(mine)]
        if asked:
            distance, _ = cKDTree(places[mine]).query(places[mine], k=asked)
            found[mine, : len(asked)] = np.log1p(distance)
    table = pd.DataFrame(found, columns=[f"neighbour_{k}" for k in neighbours])
    return table.assign(bag=cells["bag"].to_numpy())
