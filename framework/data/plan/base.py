"""Base of all plans: a pure function from a step to the rows of the global batch, and where tiles come from.

The result has the bags and tiles of one step, how ranks share them, and their fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from framework.config import NamedOptions
from framework.data.dataset import Dataset
from framework.data.permutation import I64, U64, hash_sums, hash_u64, permute_runs
from framework.data.plan.universe import Exclusion, PlanUniverse
from framework.errors import RunError
from framework.registry import Registry


@dataclass(frozen=True, kw_only=True, eq=False)
class StepRows:
    """Rows of one step: of the whole step, or of one rank.

    Attributes:
        step: global step.
        epoch: epoch the step belongs to.
        bags: int64 (K,), row of bags.parquet.
        tiles: int64 (K, N), rows of tiles.parquet.
        weights: float32 (K,); 0 marks a padding row, which holds real tiles but must not count anywhere.
    """

    step: int
    epoch: int
    bags: I64
    tiles: I64
    weights: npt.NDArray[np.float32]

    @property
    def counted(self) -> int | None:
        """How many rows count, if these come first, as they do in all rows of a plan; otherwise None."""
        number = int((self.weights > 0).sum())
        return number if bool((self.weights[:number] > 0).all()) else None

    def for_rank(self, rank: int, world: int) -> StepRows:
        """Return the part of ``rank``: ceil(K / world) consecutive rows, so that all ranks make equal steps.

        Rows beyond the last are copies of the last with weight 0.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world} ranks: expected 0 <= rank < world")
        share = -(-len(self.bags) // world)
        place = np.arange(rank * share, (rank + 1) * share)
        return self._take(np.minimum(place, len(self.bags) - 1), place < len(self.bags))

    def padded(self, rows: int) -> StepRows:
        """Return ``rows`` rows: these rows, then copies of them, from the first on, with weight 0."""
        place = np.arange(rows)
        return self._take(place % len(self.bags), place < len(self.bags))

    def _take(self, place: I64, counted: npt.NDArray[np.bool_]) -> StepRows:
        return StepRows(
            step=self.step,
            epoch=self.epoch,
            bags=self.bags[place],
            tiles=self.tiles[place],
            weights=np.where(counted, self.weights[place], np.float32(0)).astype(np.float32),
        )


def digest_rows(rows: StepRows) -> int:
    """Return a 64-bit fingerprint of the counted rows of a step.

    It is a sum modulo 2**64 of one hash per row, so the digests of all ranks add up to the digest of the whole step,
    whatever the world size; the order of tiles inside a row matters, the order of rows does not.
    """
    counted = rows.weights > 0
    each = hash_u64(rows.step, rows.bags[counted], digest_tiles(rows.tiles[counted]))
    return int(each.sum(dtype=np.uint64))


def digest_tiles(tiles: I64) -> U64:
    """Return a fingerprint of the tiles of each row (K, N) -> uint64 (K,); their order matters."""
    return hash_sums(tiles)


class Plan(Protocol):
    """Sampling as arithmetic: ``at(step)`` depends on the universe, the seed and the step, and on nothing else.

    Attributes:
        rows: K, number of rows of every global step.
        tiles_per_row: N, number of tiles per row.
        steps_per_epoch: steps until every unit was visited once.
        unit: what is visited exactly once per epoch.
        excluded: bags that the plan never visits, and why.
    """

    rows: int
    tiles_per_row: int
    steps_per_epoch: int
    unit: Literal["bag", "tile", "condition"]
    excluded: tuple[Exclusion, ...]

    def at(self, step: int) -> StepRows:
        """Return the rows of global step ``step`` >= 0."""
        ...

    def visits(self, rows: StepRows) -> I64:
        """Return the distinct units that the counted rows visit, int64 (n,), increasing."""
        ...


class PlanConfig(NamedOptions):
    """Options of a plan, and what others must know of it before it is built."""

    visits_tiles: ClassVar[bool] = False
    """Whether a row is one tile. Then single tiles without a label are left out, otherwise whole bags."""

    @property
    def grouped_by(self) -> tuple[str, ...]:
        """Columns of bags.parquet whose values together make a condition; none puts all bags in one."""
        return ()


Builder = Callable[[Any, PlanUniverse, int], Plan]
PLANS: Registry[Builder] = Registry("plan", options=PlanConfig)

# Streams of randomness; a new use takes a new number, so that no two draws share a key.
EPOCH_ORDER, WELLS, TILES_OF_BAG, PARTNERS, STRANGERS = range(1, 6)


def build_plan(config: PlanConfig, universe: PlanUniverse, seed: int) -> Plan:
    """Return the plan that ``config`` (a member of PLANS) describes.

    Raises:
        RunError: the universe has nothing the plan could visit, or restricts tiles for a plan that draws whole bags.
    """
    return PLANS.get(config.name).build(config, universe, seed)


def plan_over(
    config: PlanConfig, dataset: Dataset, bags: I64, seed: int, tiles: npt.NDArray[np.bool_] | None = None
) -> Plan:
    """Return the plan that ``config`` describes over some bags of a dataset.

    Args:
        config: a member of PLANS.
        dataset: the data.
        bags: int64, rows of bags.parquet that may be visited.
        seed: orders the plan.
        tiles: (T,), the tiles that may be visited; None: all of these bags.

    Raises:
        RunError: nothing to visit, a column that bags.parquet does not have, or tiles for a plan that draws whole bags.
    """
    return build_plan(config, PlanUniverse.of(dataset, bags, config.grouped_by, tiles), seed)


def counted(visited: I64, rows: StepRows) -> I64:
    """Return the distinct entries of ``visited`` (K,) in rows that count."""
    return np.unique(visited[rows.weights > 0])


def whole_bags(universe: PlanUniverse, plan: str) -> PlanUniverse:
    """Return ``universe`` if whole bags can be drawn from it.

    Raises:
        RunError: it has no bags, or allows only some tiles.
    """
    if universe.tiles is not None:
        raise RunError(
            f"plan '{plan}' draws from all tiles of a bag, but only some tiles are allowed here (for example "
            "those with a measured marker); use plan: {name: tiles}"
        )
    if not len(universe.bags):
        raise RunError(
            f"plan '{plan}': no bag with tiles in this part of the split; give this part more bags in the section "
            "split of the config"
        )
    return universe


def draw_tiles(bag_start: I64, bags: I64, visit: I64, tiles: int, key: int | U64) -> I64:
    """Draw ``tiles`` tiles for each row from its bag.

    There is one permutation per bag and key, which is read in a circle: row number ``visit`` of a bag takes the
    ``tiles`` places from ``visit * tiles`` on. So a row repeats tiles only if its bag has fewer than it needs, and then
    all equally often (to within one). Two rows of one bag share tiles only when the bag is used up.

    Args:
        bag_start: int64 (B + 1,).
        bags: int64 (K,).
        visit: int64 (K,), how many earlier rows took tiles of the same bag under the same key.
        tiles: N.
        key: key of the step.

    Returns:
        int64 (K, N), tile ids.
    """
    first = bag_start[bags]
    drawn = permute_runs(visit * tiles, tiles, bag_start[bags + 1] - first, hash_u64(key, bags))
    drawn += first[:, None]
    return drawn


def step_rows(step: int, epoch: int, bags: I64, tiles: I64, rows: int) -> StepRows:
    """Return a step whose counted rows are given, padded to ``rows`` rows."""
    weights = np.ones(len(bags), dtype=np.float32)
    return StepRows(step=step, epoch=epoch, bags=bags, tiles=tiles, weights=weights).padded(rows)
