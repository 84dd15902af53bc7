"""Plan ``bags``: every allowed bag once per epoch, with some of its tiles; and its unshuffled form for prediction."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import Field

from framework.data.permutation import I64, hash_u64, permute, permute_runs
from framework.data.plan.base import (
    EPOCH_ORDER,
    PLANS,
    TILES_OF_BAG,
    PlanConfig,
    StepRows,
    counted,
    draw_tiles,
    step_rows,
    whole_bags,
)
from framework.data.plan.universe import PlanUniverse


class BagsConfig(PlanConfig):
    """Options of plan ``bags``.

    Attributes:
        bags: K, number of rows of a global step.
        tiles: N, number of tiles drawn from each bag.
    """

    name: Literal["bags"] = "bags"
    bags: int = Field(ge=1)
    tiles: int = Field(ge=1)


@PLANS.register("bags", BagsConfig)
class BagsPlan:
    """An epoch is a permutation of the allowed bags, K per step. Rows of weight 0 fill up the last step."""

    unit: Literal["bag", "tile", "condition"] = "bag"

    def __init__(self, config: BagsConfig, universe: PlanUniverse, seed: int) -> None:
        self._universe = whole_bags(universe, config.name)
        self._seed = seed
        self.rows = config.bags
        self.tiles_per_row = config.tiles
        self.steps_per_epoch = -(-len(universe.bags) // config.bags)
        self.excluded = universe.excluded

    def at(self, step: int) -> StepRows:
        """Return the rows of ``step``."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        total = len(self._universe.bags)
        place = np.arange(inside * self.rows, min((inside + 1) * self.rows, total))
        bags = self._order(epoch, place)
        return step_rows(step, epoch, bags, self.drawn(epoch, bags), self.rows)

    def order(self, epoch: int) -> I64:
        """Return all allowed bags in the order of an epoch, int64 (n,); each step takes the next ``rows`` of them."""
        order: I64 = self.orders(epoch, epoch + 1)[0]
        return order

    def orders(self, first: int, stop: int) -> I64:
        """Return the orders (E, bags) of the epochs from ``first`` to before ``stop``."""
        orders: I64 = self._universe.bags[_whole_orders(len(self._universe.bags), self._seed, first, stop)]
        return orders

    def drawn(self, epoch: int, bags: I64) -> I64:
        """Return the tiles (n, N) of these bags in an epoch: the same, whichever bags the plan visits beside them."""
        key = hash_u64(self._seed, TILES_OF_BAG, epoch)
        return draw_tiles(self._universe.bag_start, bags, np.zeros_like(bags), self.tiles_per_row, key)

    def _order(self, epoch: int, place: I64) -> I64:
        bags: I64 = self._universe.bags[
            permute(place, len(self._universe.bags), hash_u64(self._seed, EPOCH_ORDER, epoch))
        ]
        return bags

    def visits(self, rows: StepRows) -> I64:
        """Return the bags that count, int64 (n,)."""
        return counted(rows.bags, rows)


@lru_cache(maxsize=16)
def _whole_orders(total: int, seed: int, first: int, stop: int) -> I64:
    """Return the orders of some epochs; plans over other bags, but as many, share them."""
    keys = hash_u64(seed, EPOCH_ORDER, np.arange(first, stop))
    return permute_runs(np.zeros(stop - first, np.int64), total, np.full(stop - first, total), keys)


class EveryBag:
    """Each allowed bag once, in stored order, with a seeded draw of its tiles. Used for prediction.

    Another ``seed`` draws other tiles, so predictions may be averaged over seeds. A second epoch repeats the first.
    """

    unit: Literal["bag", "tile", "condition"] = "bag"

    def __init__(self, universe: PlanUniverse, bags: int, tiles: int, seed: int) -> None:
        self._universe = whole_bags(universe, "every bag")
        self._seed = seed
        self.rows = bags
        self.tiles_per_row = tiles
        self.steps_per_epoch = -(-len(universe.bags) // bags)
        self.excluded = universe.excluded

    def at(self, step: int) -> StepRows:
        """Return the rows of ``step``."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        bags = self._universe.bags[inside * self.rows : (inside + 1) * self.rows]
        key = hash_u64(self._seed, TILES_OF_BAG)
        tiles = draw_tiles(self._universe.bag_start, bags, np.zeros_like(bags), self.tiles_per_row, key)
        return step_rows(step, epoch, bags, tiles, self.rows)

    def visits(self, rows: StepRows) -> I64:
        """Return the bags that count, int64 (n,)."""
        return counted(rows.bags, rows)
