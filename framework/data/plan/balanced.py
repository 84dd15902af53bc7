"""Plan ``balanced_bags``: each step holds several conditions with equally many wells, for metric learning."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from framework.config import UniqueNames
from framework.data.permutation import I64, hash_u64, permute
from framework.data.plan.base import (
    EPOCH_ORDER,
    PLANS,
    TILES_OF_BAG,
    WELLS,
    PlanConfig,
    StepRows,
    counted,
    draw_tiles,
    step_rows,
    whole_bags,
)
from framework.data.plan.universe import Exclusion, PlanUniverse
from framework.errors import RunError


class BalancedBagsConfig(PlanConfig):
    """Options of plan ``balanced_bags`` (K = ``conditions`` x ``bags``).

    Attributes:
        by: columns of bags.parquet whose values together make a condition.
        conditions: P, number of conditions of a global step.
        bags: Q, number of wells of each condition.
        tiles: N, number of tiles of each well.
    """

    name: Literal["balanced_bags"] = "balanced_bags"
    by: UniqueNames = Field(min_length=1)
    conditions: int = Field(ge=1)
    bags: int = Field(ge=2)
    tiles: int = Field(ge=1)

    @property
    def grouped_by(self) -> tuple[str, ...]:
        """The columns of ``by``."""
        return self.by


@PLANS.register("balanced_bags", BalancedBagsConfig)
class BalancedBagsPlan:
    """An epoch is a permutation of the conditions with at least two wells; each is visited exactly once.

    The conditions are dealt evenly over ceil(conditions / P) steps, so that no step has a single condition without
    another to compare with. Rows of weight 0 fill up steps with fewer than P conditions. The Q wells of a condition are
    the first of a permutation of its wells; if it has fewer than Q, they are repeated in turn, with different tiles.
    Conditions with one well have no positive pair: they are left out and listed.
    """

    unit: Literal["bag", "tile", "condition"] = "condition"

    def __init__(self, config: BalancedBagsConfig, universe: PlanUniverse, seed: int) -> None:
        whole_bags(universe, config.name)
        self._seed = seed
        self._bag_start = universe.bag_start
        order = np.argsort(universe.group, kind="stable")
        self._wells = universe.bags[order]
        ids, first, wells = np.unique(universe.group[order], return_index=True, return_counts=True)
        several = wells >= 2
        self.excluded = universe.excluded + _singles(universe, ids[~several])
        if not several.any():
            raise RunError(
                f"plan 'balanced_bags': no condition ({', '.join(config.by)}) has two wells with tiles in this part of "
                "the split; choose fewer columns in plan.by or give the part more wells"
            )
        self._condition, self._first, self._count = ids[several], first[several], wells[several]
        self._bags, self._groups = universe.bags, universe.group
        self._wells_per_row = config.bags
        self.rows = config.conditions * config.bags
        self.tiles_per_row = config.tiles
        self.steps_per_epoch = -(-len(self._condition) // config.conditions)

    def at(self, step: int) -> StepRows:
        """Return the rows of ``step``: Q consecutive rows per condition."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        total = len(self._condition)
        place = np.arange(inside * total // self.steps_per_epoch, (inside + 1) * total // self.steps_per_epoch)
        chosen = permute(place, total, hash_u64(self._seed, EPOCH_ORDER, epoch))
        count = self._count[chosen][:, None]
        turn = np.arange(self._wells_per_row)[None]
        key = hash_u64(self._seed, WELLS, epoch, self._condition[chosen])[:, None]
        bags = self._wells[self._first[chosen][:, None] + permute(turn % count, count, key)].ravel()
        visit = (turn // count).ravel()
        key_of_tiles = hash_u64(self._seed, TILES_OF_BAG, epoch)
        tiles = draw_tiles(self._bag_start, bags, visit, self.tiles_per_row, key_of_tiles)
        return step_rows(step, epoch, bags, tiles, self.rows)

    def visits(self, rows: StepRows) -> I64:
        """Return the conditions (ids of ``PlanUniverse.group``) that count, int64 (n,)."""
        return counted(self._groups[np.searchsorted(self._bags, rows.bags)], rows)


def _singles(universe: PlanUniverse, conditions: I64) -> tuple[Exclusion, ...]:
    if not len(conditions):
        return ()
    names = [universe.group_names[c] if universe.group_names else str(c) for c in conditions[:5]]
    more = f" and {len(conditions) - 5} more" if len(conditions) > 5 else ""
    reason = f"the only well of its condition, without a positive pair: {', '.join(names)}{more}"
    return (Exclusion(bags=universe.bags[np.isin(universe.group, conditions)], reason=reason),)
