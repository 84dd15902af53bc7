"""Contract of a plan: a pure function of seed and step, every unit once per epoch, independent of ranks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from framework.data.plan import PLANS, PlanUniverse, StepRows, build_plan
from wellstream.testing.entry import EntryContract


def same_rows(a: StepRows, b: StepRows) -> bool:
    """Return whether two steps are the same."""
    arrays = ((a.bags, b.bags), (a.tiles, b.tiles), (a.weights, b.weights))
    return all(np.array_equal(x, y) for x, y in arrays) and (a.step, a.epoch) == (b.step, b.epoch)


class PlanContract(EntryContract):
    """Tests of a plan; a subclass sets ``plain``, and may have a fixture ``universe`` of its own."""

    registry = PLANS

    @pytest.fixture(params=[0, 1, 2])
    def universe(self, request: pytest.FixtureRequest) -> PlanUniverse:
        """12 bags of 2 to 9 tiles, of which some are allowed, in conditions of several bags."""
        rng = np.random.default_rng(request.param)
        start = np.concatenate([[0], np.cumsum(rng.integers(2, 10, 12))]).astype(np.int64)
        bags = np.sort(rng.choice(12, 9, replace=False)).astype(np.int64)
        return PlanUniverse(bags=bags, bag_start=start, group=np.arange(9, dtype=np.int64) % 3)

    @pytest.mark.parametrize("epoch", [0, 3])
    def test_an_epoch_visits_every_unit_exactly_once(self, options: Any, universe: PlanUniverse, epoch: int) -> None:
        """A unit is a bag, a tile or a condition, as the plan says; those that are left out are named."""
        plan = build_plan(options, universe, 5)
        seen: Counter[int] = Counter()
        for step in range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch):
            rows = plan.at(step)
            assert (rows.step, rows.epoch) == (step, epoch)
            seen.update(plan.visits(rows).tolist())
        left_out = {int(bag) for item in plan.excluded for bag in item.bags}
        bags = [place for place, bag in enumerate(universe.bags.tolist()) if bag not in left_out]
        of_tiles = (range(*universe.bag_start[[b, b + 1]]) for b in universe.bags[bags])
        expected = {
            "bag": lambda: {int(bag) for bag in universe.bags[bags]},
            "condition": lambda: {int(group) for group in universe.group[bags]},
            "tile": lambda: {tile for tiles in of_tiles for tile in tiles},
        }[plan.unit]()
        assert seen == Counter(expected)

    def test_rows_have_the_shapes_that_the_plan_states(self, options: Any, universe: PlanUniverse) -> None:
        """Bags (K,), tiles (K, N), weights (K,) of 0 and 1; the first tile of a row is of its bag."""
        plan = build_plan(options, universe, 5)
        for step in range(4):
            rows = plan.at(step)
            assert rows.bags.shape == rows.weights.shape == (plan.rows,)
            assert rows.tiles.shape == (plan.rows, plan.tiles_per_row)
            types = [values.dtype.name for values in (rows.bags, rows.tiles, rows.weights)]
            assert types == ["int64", "int64", "float32"]
            assert np.isin(rows.bags, universe.bags).all()
            first = rows.tiles[:, 0]
            assert np.all((first >= universe.bag_start[rows.bags]) & (first < universe.bag_start[rows.bags + 1]))
            assert set(rows.weights.tolist()) <= {0.0, 1.0}
            assert rows.weights[0] == 1

    @pytest.mark.parametrize("world", [2, 3, 5])
    def test_the_global_batch_does_not_depend_on_the_ranks(
        self, options: Any, universe: PlanUniverse, world: int
    ) -> None:
        """Parts of all ranks, put together, are the step; what fills up the last counts for nothing."""
        plan = build_plan(options, universe, 5)
        for step in range(3):
            whole = plan.at(step)
            parts = [whole.for_rank(rank, world) for rank in range(world)]
            assert len({len(part.bags) for part in parts}) == 1
            for name in ("bags", "tiles", "weights"):
                joined = np.concatenate([getattr(part, name) for part in parts])
                np.testing.assert_array_equal(joined[: plan.rows], getattr(whole, name))
            assert not np.concatenate([part.weights for part in parts])[plan.rows :].any()

    def test_a_step_is_a_function_of_seed_and_step(self, options: Any, universe: PlanUniverse) -> None:
        """In any order, in any process; other seeds and epochs give other steps."""
        one, two = build_plan(options, universe, 5), build_plan(options, universe, 5)
        steps = list(range(2 * one.steps_per_epoch))
        forth = [one.at(step) for step in steps]
        back = [two.at(step) for step in reversed(steps)][::-1]
        assert all(same_rows(a, b) for a, b in zip(forth, back, strict=True))
        other = build_plan(options, universe, 6)
        assert not all(np.array_equal(rows.tiles, other.at(rows.step).tiles) for rows in forth)
