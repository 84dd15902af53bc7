"""``position``: where a row lies: plate, row and column of its well; of a cell also its place in the field."""

from __future__ import annotations

from typing import Literal

import numpy as np

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, BaselineMissing, Floats
from framework.baselines.rows import Rows
from framework.data.format.schema import SOURCE, WELL
from framework.report.run.figures_plate import well_position


class PositionConfig(BaselineConfig):
    """Options of ``position``: none."""

    name: Literal["position"] = "position"


@BASELINES.register("position", PositionConfig)
class Position(Baseline):
    """See the module."""

    says = "plate, row, column; x and y of a cell"

    def features(self, rows: Rows) -> Floats:
        """Return one column per plate, then row, column and their squares and product; y and x likewise."""
        bags = rows.bags
        sources = sorted(set(rows.dataset.bags[SOURCE].astype(str)))
        columns = []
        if len(sources) > 1:
            columns.append((bags[SOURCE].astype(str).to_numpy()[:, None] == np.array(sources)).astype(np.float64))
        if WELL in bags.columns:
            places = [well_position(str(name)) or (np.nan, np.nan) for name in bags[WELL]]
            columns.append(_curved(np.array(places, dtype=np.float64)))
        if rows.level == "tile":
            place = rows.dataset.tile_table(["y_px", "x_px"]).iloc[rows.ids].to_numpy(dtype=np.float64)
            columns.append(_curved(place))
        known = [each for each in columns if np.isfinite(each).any()]
        if not known:
            raise BaselineMissing("plates, wells and positions of cells are unknown")
        return np.concatenate(known, axis=1)


def _curved(place: Floats) -> Floats:
    """(n, 2) -> (n, 5): both, their squares and their product."""
    first, second = place.T
    return np.stack([first, second, first**2, second**2, first * second], axis=1)
