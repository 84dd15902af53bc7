"""Plans over single tiles: ``tiles`` visits each once per epoch; EveryTile walks them in stored order."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framework.data.permutation import I64, hash_u64, permute
from framework.data.plan.base import EPOCH_ORDER, PLANS, PlanConfig, StepRows, counted, step_rows
from framework.data.plan.interval_search import IntervalSearch
from framework.data.plan.universe import PlanUniverse
from framework.errors import RunError


class TilesConfig(PlanConfig):
    """Options of plan ``tiles``: K = ``tiles`` rows of one tile."""

    visits_tiles: ClassVar[bool] = True

    name: Literal["tiles"] = "tiles"
    tiles: int = Field(ge=1)
    """Tiles per step, over all ranks."""


class TileLine:
    """All allowed tiles as one line 0..total - 1; memory per bag, or the explicit list of tiles, never per tile."""

    def __init__(self, universe: PlanUniverse) -> None:
        self._explicit = universe.tiles
        self._bag_start = universe.bag_start
        self._bags = universe.bags
        self._begin = np.concatenate([[0], np.cumsum(universe.counts)]).astype(np.int64)
        self._search = IntervalSearch(self._begin if universe.tiles is None else self._bag_start)
        self.total = int(self._begin[-1]) if universe.tiles is None else len(universe.tiles)

    def at(self, place: I64) -> tuple[I64, I64]:
        """Return (bags, tiles) at places of the line."""
        if self._explicit is not None:
            tiles = self._explicit[place]
            return self._search.at(tiles), tiles
        which = self._search.at(place)
        bags = self._bags[which]
        return bags, self._bag_start[bags] + place - self._begin[which]


@PLANS.register("tiles", TilesConfig)
class TilesPlan:
    """An epoch is a permutation of all allowed tiles, K per step. Rows of weight 0 fill up the last step."""

    unit: Literal["bag", "tile", "condition"] = "tile"
    tiles_per_row = 1

    def __init__(self, config: TilesConfig, universe: PlanUniverse, seed: int) -> None:
        self._line = _line(universe, config.name)
        self._seed = seed
        self.rows = config.tiles
        self.steps_per_epoch = -(-self._line.total // config.tiles)
        self.excluded = universe.excluded

    def at(self, step: int) -> StepRows:
        """Return the rows of ``step``."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        place = np.arange(inside * self.rows, min((inside + 1) * self.rows, self._line.total))
        key = hash_u64(self._seed, EPOCH_ORDER, epoch)
        bags, tiles = self._line.at(permute(place, self._line.total, key))
        return step_rows(step, epoch, bags, tiles[:, None], self.rows)

    def visits(self, rows: StepRows) -> I64:
        """Return the tiles that count, int64 (n,)."""
        return counted(rows.tiles[:, 0], rows)


class EveryTile:
    """Each allowed tile once, in stored order, ``rows`` per step, for embedding. All epochs are equal."""

    unit: Literal["bag", "tile", "condition"] = "tile"
    tiles_per_row = 1

    def __init__(self, universe: PlanUniverse, rows: int) -> None:
        self._line = _line(universe, "every tile")
        self.rows = rows
        self.steps_per_epoch = -(-self._line.total // rows)
        self.excluded = universe.excluded

    def at(self, step: int) -> StepRows:
        """Return the rows of ``step``."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        bags, tiles = self._line.at(np.arange(inside * self.rows, min((inside + 1) * self.rows, self._line.total)))
        return step_rows(step, epoch, bags, tiles[:, None], self.rows)

    def visits(self, rows: StepRows) -> I64:
        """Return the tiles that count, int64 (n,)."""
        return counted(rows.tiles[:, 0], rows)


def _line(universe: PlanUniverse, plan: str) -> TileLine:
    line = TileLine(universe)
    if not line.total:
        raise RunError(f"plan '{plan}': no tile is allowed in this part of the split")
    return line
