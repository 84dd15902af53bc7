"""The contract of every plan, checked over the registry on random universes: pure, exactly once, free of ranks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny_dataset import make_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.data.plan import (
    PLANS,
    BagsConfig,
    BalancedBagsConfig,
    EveryBag,
    EveryNthStep,
    EveryTile,
    MismatchedPairs,
    PairsConfig,
    PairsPlan,
    Plan,
    PlanConfig,
    PlanUniverse,
    StepRows,
    TilesConfig,
    build_plan,
    digest_rows,
    plan_over,
)
from framework.errors import RunError

CONFIGS: tuple[PlanConfig, ...] = (
    BagsConfig(bags=4, tiles=3),
    BagsConfig(bags=1, tiles=9),
    BalancedBagsConfig(by=("x",), conditions=2, bags=3, tiles=4),
    TilesConfig(tiles=5),
    PairsConfig(pairs=4),
    PairsConfig(pairs=3, by=("x",)),
)

GOLDEN = {
    "bags 0": 14882201909659123666,
    "bags 1": 13218938349203359505,
    "balanced_bags 2": 16642362958305223473,
    "tiles 3": 4687303082260208241,
    "pairs 4": 9231668480449343629,
    "pairs 5": 639131038958091204,
}


@st.composite
def universes(draw: st.DrawFn) -> PlanUniverse:
    """Datasets of up to 20 bags with 0 to 9 tiles, of which some are allowed, in up to 4 conditions."""
    counts = np.asarray(draw(st.lists(st.integers(0, 9), min_size=4, max_size=20)))
    counts[:2] = np.maximum(counts[:2], 2)
    groups = np.asarray(draw(st.lists(st.integers(0, 3), min_size=len(counts), max_size=len(counts))))
    groups[:2] = groups[0]
    allowed = counts > 0
    allowed[2:] &= np.asarray(draw(st.lists(st.booleans(), min_size=len(counts) - 2, max_size=len(counts) - 2)))
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    bags = np.flatnonzero(allowed).astype(np.int64)
    return PlanUniverse(bags=bags, bag_start=start, group=groups[bags].astype(np.int64))


def all_plans(universe: PlanUniverse, seed: int) -> list[Plan]:
    plans = [build_plan(config, universe, seed) for config in CONFIGS]
    return [*plans, EveryTile(universe, 6), EveryBag(universe, 4, 5, seed)]


def units(plan: Plan, universe: PlanUniverse) -> set[int]:
    """What the plan has to visit, worked out from the universe alone."""
    left_out = {int(b) for item in plan.excluded for b in item.bags}
    bags = [int(b) for b in universe.bags if int(b) not in left_out]
    if plan.unit == "bag":
        return set(bags)
    if plan.unit == "condition":
        return {int(g) for b, g in zip(universe.bags, universe.group, strict=True) if int(b) not in left_out}
    return {t for b in bags for t in range(universe.bag_start[b], universe.bag_start[b + 1])}


def same(a: StepRows, b: StepRows) -> bool:
    return all(np.array_equal(x, y) for x, y in ((a.bags, b.bags), (a.tiles, b.tiles), (a.weights, b.weights))) and (
        a.step,
        a.epoch,
    ) == (b.step, b.epoch)


def test_the_configs_cover_the_registry() -> None:
    assert {config.name for config in CONFIGS} == set(PLANS.names())  # type: ignore[attr-defined]


@given(universe=universes(), seed=st.integers(0, 2**31), epoch=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_an_epoch_visits_every_unit_exactly_once(universe: PlanUniverse, seed: int, epoch: int) -> None:
    for plan in all_plans(universe, seed):
        seen: Counter[int] = Counter()
        for step in range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch):
            rows = plan.at(step)
            assert rows.epoch == epoch
            assert rows.step == step
            seen.update(plan.visits(rows).tolist())
        assert seen == Counter(units(plan, universe))


@given(universe=universes(), seed=st.integers(0, 2**31), step=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_rows_hold_tiles_of_their_bags(universe: PlanUniverse, seed: int, step: int) -> None:
    for plan in all_plans(universe, seed):
        rows = plan.at(step)
        assert rows.bags.shape == rows.weights.shape == (plan.rows,)
        assert rows.tiles.shape == (plan.rows, plan.tiles_per_row)
        assert (rows.bags.dtype, rows.tiles.dtype, rows.weights.dtype) == (np.int64, np.int64, np.float32)
        assert np.isin(rows.bags, universe.bags).all()
        first, end = universe.bag_start[rows.bags][:, None], universe.bag_start[rows.bags + 1][:, None]
        # A target may come from another bag of the pool, which tests of pairs look at.
        own = rows.tiles[:, :1] if isinstance(plan, PairsPlan) else rows.tiles
        assert np.all((own >= first) & (own < end))
        assert set(rows.weights.tolist()) <= {0.0, 1.0}
        assert rows.weights[0] == 1


@given(universe=universes(), seed=st.integers(0, 2**31), step=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_bag_gives_each_tile_equally_often(universe: PlanUniverse, seed: int, step: int) -> None:
    """Per bag and step, tile counts differ by at most one: no repeat while unused tiles are left."""
    for plan in all_plans(universe, seed):
        if plan.unit == "tile":
            continue
        rows = plan.at(step)
        counted = rows.weights > 0
        for bag in np.unique(rows.bags[counted]):
            drawn = rows.tiles[counted & (rows.bags == bag)].ravel() - universe.bag_start[bag]
            size = int(universe.bag_start[bag + 1] - universe.bag_start[bag])
            often = np.bincount(drawn, minlength=size)
            assert often.max() - often.min() <= 1


@given(universe=universes(), seed=st.integers(0, 2**31), world=st.integers(1, 7), step=st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_ranks_share_the_same_rows_at_any_world_size(universe: PlanUniverse, seed: int, world: int, step: int) -> None:
    for plan in all_plans(universe, seed):
        rows = plan.at(step)
        parts = [rows.for_rank(rank, world) for rank in range(world)]
        assert len({len(part.bags) for part in parts}) == 1
        together = StepRows(
            step=step,
            epoch=rows.epoch,
            bags=np.concatenate([p.bags for p in parts]),
            tiles=np.concatenate([p.tiles for p in parts]),
            weights=np.concatenate([p.weights for p in parts]),
        )
        counted, expected = together.weights > 0, rows.weights > 0
        assert np.array_equal(together.bags[counted], rows.bags[expected])
        assert np.array_equal(together.tiles[counted], rows.tiles[expected])
        assert sum(map(digest_rows, parts)) % 2**64 == digest_rows(rows)


@given(universe=universes(), seed=st.integers(0, 2**31), step=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_a_step_depends_on_nothing_but_seed_and_number(universe: PlanUniverse, seed: int, step: int) -> None:
    """A plan that has walked and a fresh one (a resumed run) agree; another seed gives other rows somewhere."""
    for walked, fresh in zip(all_plans(universe, seed), all_plans(universe, seed), strict=True):
        for earlier in range(3):
            walked.at(earlier)
        assert same(walked.at(step), fresh.at(step))


def test_seeds_and_epochs_differ() -> None:
    universe = PlanUniverse(
        bags=np.arange(40), bag_start=np.arange(41) * 30, group=np.arange(40) % 8, group_names=("c",) * 8
    )
    for config in CONFIGS:
        plan, other = build_plan(config, universe, 0), build_plan(config, universe, 1)
        assert not np.array_equal(plan.at(0).tiles, other.at(0).tiles)
        assert not np.array_equal(plan.at(0).tiles, plan.at(plan.steps_per_epoch).tiles)
        assert digest_rows(plan.at(0)) != digest_rows(other.at(0))


def test_plans_never_change() -> None:
    """Golden digests: a run verified years later must recompute the same batches."""
    universe = PlanUniverse(bags=np.arange(40), bag_start=np.arange(41) * 30, group=np.arange(40) % 8)
    found = {f"{c.name} {i}": digest_rows(build_plan(c, universe, 7).at(3)) for i, c in enumerate(CONFIGS)}  # type: ignore[attr-defined]
    assert found == GOLDEN


def test_balanced_steps_hold_equal_wells_and_never_one_lonely_condition() -> None:
    """25 conditions of 5 wells, 12 a step: dealt as 8 + 8 + 9, each with its 4 wells, all different."""
    universe = PlanUniverse(bags=np.arange(125), bag_start=np.arange(126) * 20, group=np.arange(125) % 25)
    plan = build_plan(BalancedBagsConfig(by=("x",), conditions=12, bags=4, tiles=3), universe, 0)
    assert (plan.rows, plan.steps_per_epoch) == (48, 3)
    sizes = []
    for step in range(3):
        rows = plan.at(step)
        bags = rows.bags[rows.weights > 0].reshape(-1, 4)
        assert all(len(set(b)) == 4 and len({int(w) % 25 for w in b}) == 1 for b in bags)
        sizes.append(len(bags))
    assert sorted(sizes) == [8, 8, 9]


def test_a_condition_with_few_wells_repeats_them_with_other_tiles() -> None:
    universe = PlanUniverse(bags=np.arange(2), bag_start=np.asarray([0, 10, 20]), group=np.zeros(2, np.int64))
    plan = build_plan(BalancedBagsConfig(by=("x",), conditions=1, bags=5, tiles=4), universe, 0)
    rows = plan.at(0)
    assert sorted(np.bincount(rows.bags)) == [2, 3]
    twice = rows.tiles[rows.bags == np.argmin(np.bincount(rows.bags))]
    assert len(set(twice.ravel().tolist())) == 8


def test_lonely_conditions_and_tiles_are_listed() -> None:
    universe = PlanUniverse(
        bags=np.asarray([0, 2, 3]),
        bag_start=np.asarray([0, 4, 4, 5, 9]),
        group=np.asarray([0, 1, 0]),
        group_names=("DMSO", "drug"),
    )
    balanced = build_plan(BalancedBagsConfig(by=("x",), conditions=2, bags=2, tiles=2), universe, 0)
    (item,) = balanced.excluded
    assert item.bags.tolist() == [2]
    assert item.reason == "the only well of its condition, without a positive pair: drug"
    (item,) = build_plan(PairsConfig(pairs=2), universe, 0).excluded
    assert item.bags.tolist() == [2]
    assert item.reason == "one tile, which has no partner"


def test_pairs_draw_every_partner_equally_and_never_the_source() -> None:
    universe = PlanUniverse(bags=np.arange(1), bag_start=np.asarray([0, 4]), group=np.zeros(1, np.int64))
    plan = build_plan(PairsConfig(pairs=4), universe, 0)
    pairs = np.concatenate([plan.at(step).tiles for step in range(3000)])
    counts = np.zeros((4, 4))
    np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    assert np.trace(counts) == 0
    # 1,000 expected in each cell; 5 standard deviations of a binomial with p = 1/3 are 129.
    assert np.abs(counts[~np.eye(4, dtype=bool)] - 1000).max() < 129


def proteins() -> PlanUniverse:
    """Three proteins: fields 0 and 2 (3 + 2 tiles), field 1 alone (4), field 4 of a single tile; 3 is not allowed."""
    return PlanUniverse(
        bags=np.asarray([0, 1, 2, 4]),
        bag_start=np.asarray([0, 3, 7, 9, 14, 15]),
        group=np.asarray([0, 1, 0, 2]),
        group_names=("AAC1", "AAC3", "AAH1"),
    )


POOLS = ({0, 1, 2, 7, 8}, {3, 4, 5, 6})


def test_pairs_by_a_column_draw_from_all_allowed_bags_that_share_it() -> None:
    plan = build_plan(PairsConfig(pairs=4, by=("protein",)), proteins(), 0)
    assert plan.steps_per_epoch == 3
    counts = np.zeros((15, 15))
    for step in range(6000):
        rows = plan.at(step)
        assert rows.bags.tolist() == np.searchsorted([3, 7, 9, 14], rows.tiles[:, 0], side="right").tolist()
        kept = rows.weights > 0
        np.add.at(counts, (rows.tiles[kept, 0], rows.tiles[kept, 1]), 1)
    # 2,000 epochs: each of the 9 tiles the source 2,000 times, its partners each 2,000 / (pool - 1) times.
    for pool in POOLS:
        for source in pool:
            assert counts[source].sum() == 2000
            assert set(np.flatnonzero(counts[source])) == pool - {source}
            expected = 2000 / (len(pool) - 1)
            # 5 standard deviations of a binomial with p = 1/4 or 1/3.
            assert np.abs(counts[source][sorted(pool - {source})] - expected).max() < 5 * (2000 * 0.25) ** 0.5
    assert counts.sum() == 9 * 2000
    (item,) = plan.excluded
    assert item.bags.tolist() == [4]
    assert item.reason == "the only tile of its condition, which has no partner: AAH1"


def test_a_tile_alone_in_its_bag_has_partners_in_its_pool() -> None:
    universe = PlanUniverse(bags=np.arange(3), bag_start=np.arange(4), group=np.asarray([1, 0, 1]))
    plan = build_plan(PairsConfig(pairs=2, by=("x",)), universe, 3)
    assert sorted(plan.at(0).tiles.tolist()) == [[0, 2], [2, 0]]
    assert plan.excluded[0].bags.tolist() == [1]


def test_mismatched_pairs_keep_the_targets_and_take_sources_of_all_other_pools() -> None:
    plan = build_plan(PairsConfig(pairs=4, by=("protein",)), proteins(), 0)
    assert isinstance(plan, PairsPlan)
    wrong = MismatchedPairs(plan)
    counts = np.zeros((15, 15))
    for step in range(3000):
        rows, expected = wrong.at(step), plan.at(step)
        assert np.array_equal(rows.tiles[:, 1], expected.tiles[:, 1])
        assert np.array_equal(rows.weights, expected.weights)
        np.add.at(counts, (rows.tiles[:, 0], rows.tiles[:, 1]), 1)
    for mine, other in (POOLS, POOLS[::-1]):
        drawn = counts[:, sorted(mine)]
        assert set(np.flatnonzero(drawn.sum(axis=1))) == other
        each = drawn.sum(axis=1)[sorted(other)]
        assert np.abs(each - each.mean()).max() < 5 * each.mean() ** 0.5
    one = PlanUniverse(bags=np.arange(1), bag_start=np.asarray([0, 4]), group=np.zeros(1, np.int64))
    alone = build_plan(PairsConfig(pairs=4), one, 0)
    assert isinstance(alone, PairsPlan)
    with pytest.raises(RunError, match="no cell of another protein"):
        MismatchedPairs(alone)


def test_only_allowed_tiles_are_visited() -> None:
    universe = PlanUniverse(
        bags=np.arange(3), bag_start=np.asarray([0, 4, 8, 12]), group=np.zeros(3, np.int64), tiles=np.asarray([1, 2, 9])
    )
    plan = build_plan(TilesConfig(tiles=2), universe, 0)
    steps = [plan.at(step) for step in range(plan.steps_per_epoch)]
    assert sorted(int(t) for rows in steps for t in plan.visits(rows)) == [1, 2, 9]
    assert all(rows.bags.tolist() == (rows.tiles[:, 0] // 4).tolist() for rows in steps)
    with pytest.raises(RunError, match=r"plan 'bags' draws from all tiles of a bag.*use plan: \{name: tiles\}"):
        build_plan(BagsConfig(bags=1, tiles=1), universe, 0)


def test_nothing_to_visit_is_an_error() -> None:
    empty = PlanUniverse(bags=np.empty(0, np.int64), bag_start=np.asarray([0, 4]), group=np.empty(0, np.int64))
    for config in CONFIGS:
        with pytest.raises(RunError, match="in this part"):
            build_plan(config, empty, 0)
    single = PlanUniverse(bags=np.arange(2), bag_start=np.arange(3), group=np.arange(2))
    with pytest.raises(RunError, match=r"no bag of this part has two tiles, so no cell has a partner; set plan\.by"):
        build_plan(PairsConfig(pairs=1), single, 0)
    with pytest.raises(RunError, match=r"no condition \(x\) has two wells"):
        build_plan(BalancedBagsConfig(by=("x",), conditions=1, bags=2, tiles=1), single, 0)


def test_a_billion_tiles_need_no_memory_a_tile() -> None:
    universe = PlanUniverse(bags=np.arange(10**6), bag_start=np.arange(10**6 + 1) * 1000, group=np.arange(10**6) % 5000)
    for config in (
        BalancedBagsConfig(by=("x",), conditions=12, bags=20, tiles=12),
        BagsConfig(bags=240, tiles=12),
        TilesConfig(tiles=2880),
        PairsConfig(pairs=240),
    ):
        plan = build_plan(config, universe, 0)
        rows = plan.at(10**6 + 1)
        assert rows.weights.sum() > 0
        assert np.array_equal(rows.tiles // 1000, np.broadcast_to(rows.bags[:, None], rows.tiles.shape))


def test_what_each_plan_declares() -> None:
    assert [config.visits_tiles for config in CONFIGS] == [False, False, False, True, False, False]
    assert [config.grouped_by for config in CONFIGS] == [(), (), ("x",), (), (), ("x",)]


def test_a_plan_over_bags_of_a_dataset_groups_them_by_its_own_columns(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", bags=12)
    bags = np.asarray([0, 2, 3, 6, 8])
    config = BalancedBagsConfig(by=("Metadata_Perturbation",), conditions=1, bags=2, tiles=2)
    plan = plan_over(config, dataset, bags, 5)
    same = build_plan(config, PlanUniverse.of(dataset, bags, config.by), 5)
    assert [digest_rows(plan.at(step)) for step in range(4)] == [digest_rows(same.at(step)) for step in range(4)]
    names = dataset.bags["Metadata_Perturbation"].to_numpy()
    assert all(len(set(names[plan.at(step).bags])) == 1 for step in range(4))
    assert all(set(plan.at(step).bags) <= set(bags.tolist()) for step in range(4))
    allowed = np.zeros(len(dataset.index), dtype=bool)
    allowed[[1, 4]] = True
    assert set(plan_over(TilesConfig(tiles=2), dataset, bags, 0, allowed).at(0).tiles.ravel().tolist()) == {1, 4}


@pytest.mark.parametrize("world", [1, 2, 3, 9])
def test_processes_that_take_every_nth_step_take_each_once(world: int) -> None:
    start = np.asarray([0, 4, 4, 9, 16])
    bags = np.asarray([0, 2, 3])
    plan = EveryTile(PlanUniverse(bags=bags, bag_start=start, group=np.zeros(3, np.int64)), 3)
    assert plan.steps_per_epoch == 6
    shares = [EveryNthStep(plan, first, world) for first in range(world)]
    assert [share.steps_per_epoch for share in shares] == [len(range(first, 6, world)) for first in range(world)]
    taken = [share.at(step) for share in shares for step in range(share.steps_per_epoch)]
    assert sorted(rows.step for rows in taken) == list(range(6))
    for rows in taken:
        whole = plan.at(rows.step)
        assert np.array_equal(rows.tiles, whole.tiles)
        assert np.array_equal(rows.weights, whole.weights)
    assert (shares[0].rows, shares[0].tiles_per_row, shares[0].unit) == (3, 1, "tile")
    with pytest.raises(ValueError, match="expected first >= 0 and every >= 1, found 0 and 0"):
        EveryNthStep(plan, 0, 0)
