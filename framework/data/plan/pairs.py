"""Plan ``pairs``: two tiles that show the same protein, for paired cell inpainting; and mismatched pairs as a
comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from framework.config import UniqueNames
from framework.data.permutation import I64, U64, hash_u64, permute
from framework.data.plan.base import (
    EPOCH_ORDER,
    PARTNERS,
    PLANS,
    STRANGERS,
    PlanConfig,
    StepRows,
    counted,
    step_rows,
    whole_bags,
)
from framework.data.plan.interval_search import IntervalSearch
from framework.data.plan.universe import Exclusion, PlanUniverse
from framework.errors import RunError


class PairsConfig(PlanConfig):
    """Options of plan ``pairs``: K = ``pairs`` rows, each of a source and a target tile that show the same protein.

    Attributes:
        pairs: K, number of pairs of a global step.
        by: columns of bags.parquet. Partners come from all allowed bags with equal values in them, for example a
            protein whose fields are separate bags. None: partners come from the source's own bag.
    """

    name: Literal["pairs"] = "pairs"
    pairs: int = Field(ge=1)
    by: UniqueNames = ()

    @property
    def grouped_by(self) -> tuple[str, ...]:
        """The columns of ``by``."""
        return self.by


class TilePools:
    """The tiles of the allowed bags, put into one line in which the bags of a pool, and so its tiles, are neighbours.

    Memory holds numbers per bag and per pool, none per tile.

    Args:
        universe: bags; those of a pool too small for a pair are left out.
        pooled: whether bags of one condition share a pool; otherwise each bag is its own.
    """

    def __init__(self, universe: PlanUniverse, *, pooled: bool) -> None:
        pool = universe.group if pooled else np.arange(len(universe.bags))
        _, pool = np.unique(pool, return_inverse=True)
        sizes = np.bincount(pool, weights=universe.counts).astype(np.int64) if len(pool) else np.empty(0, np.int64)
        paired = sizes[pool] >= 2
        self.excluded = _without_partner(universe, ~paired, pooled)
        order = np.flatnonzero(paired)[np.argsort(pool[paired], kind="stable")]
        self._bag_start = universe.bag_start
        self._bags = universe.bags[order]
        self._begin = np.concatenate([[0], np.cumsum(universe.counts[order])]).astype(np.int64)
        _, first, bags = np.unique(pool[order], return_index=True, return_counts=True)
        self.begin = self._begin[first]
        """int64 (P,), where each pool begins."""
        self.size = self._begin[first + bags] - self.begin
        """int64 (P,), its tiles."""
        self.total = int(self._begin[-1])
        self._bag_search = IntervalSearch(self._begin)
        self._pool_search = IntervalSearch(np.append(self.begin, self.total))
        by_bag = np.argsort(self._bags)
        self._sorted, self._place_of_bag = self._bags[by_bag], self._begin[by_bag]

    def at(self, place: I64) -> tuple[I64, I64]:
        """Return (bags, tiles) at places of the line."""
        which = self._bag_search.at(place)
        bags = self._bags[which]
        return bags, self._bag_start[bags] + place - self._begin[which]

    def place_of(self, bags: I64, tiles: I64) -> I64:
        """Return where tiles (n,) of bags (n,) stand on the line, int64 (n,)."""
        places: I64 = self._place_of_bag[np.searchsorted(self._sorted, bags)] + tiles - self._bag_start[bags]
        return places

    def pool_of(self, place: I64) -> I64:
        """Return the pool of each place (n,), int64 (n,)."""
        return self._pool_search.at(place)


@PLANS.register("pairs", PairsConfig)
class PairsPlan:
    """Every tile once per epoch as the source, with a target drawn uniformly from the other tiles of its pool.

    The pool is the source's bag, or all allowed bags that share the columns of ``by``; the bag of a row is the
    source's. Pools of one tile have no pair: they are left out and listed.
    """

    unit: Literal["bag", "tile", "condition"] = "tile"
    tiles_per_row = 2

    def __init__(self, config: PairsConfig, universe: PlanUniverse, seed: int) -> None:
        whole_bags(universe, config.name)
        self._pools = TilePools(universe, pooled=bool(config.by))
        self.excluded = universe.excluded + self._pools.excluded
        if not self._pools.total:
            pool = f"condition ({', '.join(config.by)})" if config.by else "bag"
            raise RunError(
                f"plan 'pairs': no {pool} of this part has two tiles, so no cell has a partner; set plan.by "
                "to the columns that are equal in all bags of one protein, or give this part of the split "
                "more bags"
            )
        self._seed = seed
        self.rows = config.pairs
        self.steps_per_epoch = -(-self._pools.total // config.pairs)

    def at(self, step: int) -> StepRows:
        """Return the rows of ``step``: tiles[:, 0] sources, tiles[:, 1] targets."""
        epoch, bags, sources, places = self._sources(step)
        _, targets = self._pools.at(self._partners(places, hash_u64(self._seed, PARTNERS, epoch, sources)))
        return step_rows(step, epoch, bags, np.stack([sources, targets], axis=1), self.rows)

    def visits(self, rows: StepRows) -> I64:
        """Return the source tiles that count, int64 (n,)."""
        return counted(rows.tiles[:, 0], rows)

    def _sources(self, step: int) -> tuple[int, I64, I64, I64]:
        """(epoch, bags, tiles, places on the line) of the sources of a step."""
        epoch, inside = divmod(step, self.steps_per_epoch)
        total = self._pools.total
        place = np.arange(inside * self.rows, min((inside + 1) * self.rows, total))
        places = permute(place, total, hash_u64(self._seed, EPOCH_ORDER, epoch))
        bags, tiles = self._pools.at(places)
        return epoch, bags, tiles, places

    def _partners(self, places: I64, random: U64) -> I64:
        """Return another place of the same pool for each place, from 64 random bits each."""
        pool = self._pools.pool_of(places)
        begin, others = self._pools.begin[pool], (self._pools.size[pool] - 1).astype(np.uint64)
        drawn = begin + (random % others).astype(np.int64)
        partners: I64 = drawn + (drawn >= places)
        return partners


class MismatchedPairs:
    """The rows of a pairs plan, with each source replaced by a random tile of another pool.

    A network that needs its source must have a larger loss here. The targets are those of the plan, so the losses can
    be compared.

    Raises:
        RunError: the plan has one pool only.
    """

    unit: Literal["bag", "tile", "condition"] = "tile"
    tiles_per_row = 2

    def __init__(self, plan: PairsPlan) -> None:
        self._plan, self._pools = plan, plan._pools
        if len(self._pools.begin) < 2:
            raise RunError("all cells show the same protein, so there is no cell of another protein to compare with")
        self.rows, self.steps_per_epoch, self.excluded = plan.rows, plan.steps_per_epoch, plan.excluded

    def at(self, step: int) -> StepRows:
        """Return the rows of ``step``: tiles[:, 0] sources of other pools, tiles[:, 1] targets; bags the plan's."""
        rows = self._plan.at(step)
        pool = self._pools.pool_of(self._pools.place_of(rows.bags, rows.tiles[:, 0]))
        begin, size = self._pools.begin[pool], self._pools.size[pool]
        random = hash_u64(self._plan._seed, STRANGERS, rows.epoch, rows.tiles[:, 1])
        drawn = (random % (self._pools.total - size).astype(np.uint64)).astype(np.int64)
        _, sources = self._pools.at(drawn + np.where(drawn >= begin, size, 0))
        return replace(rows, tiles=np.stack([sources, rows.tiles[:, 1]], axis=1))

    def visits(self, rows: StepRows) -> I64:
        """Return the target tiles that count, int64 (n,)."""
        return counted(rows.tiles[:, 1], rows)


def _without_partner(universe: PlanUniverse, alone: npt.NDArray[np.bool_], pooled: bool) -> tuple[Exclusion, ...]:
    if not alone.any():
        return ()
    reason = "one tile, which has no partner"
    if pooled:
        groups = np.unique(universe.group[alone])
        names = [universe.group_names[g] if universe.group_names else str(g) for g in groups[:5]]
        more = f" and {len(groups) - 5} more" if len(groups) > 5 else ""
        reason = f"the only tile of its condition, which has no partner: {', '.join(names)}{more}"
    return (Exclusion(bags=universe.bags[alone], reason=reason),)
