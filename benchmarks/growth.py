"""Theme ``growth``: how cost grows with tiles, bags and ranks; every curve is one table, every point of it an arm.

The limit of a table is its smallest point, so the ratio of an arm says what became of the rate up to it. Plans are made
for simulated bags, because a plan needs no pixels. The cost of a plan at many ranks is that of one rank, which computes
the rows of the whole batch and takes its share: arithmetic, so one process can measure any world size. Training runs on
real ranks, all on this machine.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import tables
from benchmarks.harness import Arm, Costs, Measured, Target, measure
from benchmarks.ranks import RankFacts, launch, named, rank_costs
from benchmarks.steps import Setting, Trainer
from benchmarks.synthetic import draw_pixels, write_dataset
from framework.data.dataset import Dataset
from framework.data.plan import BalancedBagsConfig, Plan, PlanUniverse, TilesConfig, build_plan
from framework.distributed import Ranks

WELLS, TILES, ROWS = 4, 12, 96
"""Bags of a condition, tiles of a bag, and bags of a step."""
WORLDS = (1, 2, 4)
"""Ranks of the real training."""
_STEPS = 20
_FLAT = 0.5
"""What is said not to grow may be half as fast at the far end: caches end, and searches take a few halvings more."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Curves that share axes: ``case -> label``."""

    cases: dict[str, str]
    across: str
    up: str
    unit: float = 1.0
    log: tuple[bool, bool] = (True, False)
    ticks: tuple[int, ...] = ()


BY_TILES = "a step of a plan over tiles, in 1,000 bags"
BY_BAGS = "a step of a plan over bags, of 1,000 tiles"
OPEN_PLAN = "opening a plan over bags, of 1,000 tiles"
OPEN_DATASET = "opening a dataset over tiles"
BY_WORLD = "one rank's part of a step, 240 bags in all"
BY_WORLD_WEAK = "one rank's part of a step, 24 bags per rank"
TRAINING = "a training step from disk over ranks, the same batches"
BY_BATCH = "a training step over tiles per step"
PANELS = (
    Panel(cases={BY_TILES: ""}, across="tiles, in 1,000 bags", up="plan: ms per step of 96 bags", unit=1e3),
    Panel(cases={BY_BAGS: ""}, across="bags, of 1,000 tiles", up="plan: ms per step of 96 bags", unit=1e3),
    Panel(
        cases={BY_WORLD: "240 bags in all", BY_WORLD_WEAK: "24 bags per rank"},
        across="ranks",
        up="plan: ms per step, of one rank",
        unit=1e3,
        log=(True, True),
    ),
    Panel(
        cases={OPEN_DATASET: "dataset, over tiles", OPEN_PLAN: "plan, over bags"},
        across="tiles of the dataset, bags of the plan",
        up="s to open",
        log=(True, True),
    ),
    Panel(cases={BY_BATCH: ""}, across="tiles per step", up="training: s per step", log=(False, False)),
    Panel(
        cases={TRAINING: ""},
        across="ranks, on the same cores",
        up="training: s per step",
        log=(False, False),
        ticks=WORLDS,
    ),
)


def run(*, quick: bool) -> list[Measured]:
    """Measure every curve; quick: the ends of those that need no training."""
    tiles = [10**5, 10**9] if quick else [10**n for n in range(5, 10)]
    bags = [10**2, 10**5] if quick else [10**n for n in range(2, 7)]
    rows = [10**4, 10**5] if quick else [10**n for n in range(4, 8)]
    worlds = [1, 512] if quick else [2**n for n in range(10)]
    found = [
        _plans(BY_TILES, {n: (1000, n // 1000) for n in tiles}, "tiles"),
        _plans(BY_BAGS, {n: (n, 1000) for n in bags}, "bags"),
        _worlds(BY_WORLD, worlds, lambda _: 240),
        _worlds(BY_WORLD_WEAK, worlds, lambda world: 24 * world),
        _opening(bags),
        _datasets(rows),
    ]
    return found if quick else [*found, *_training()]


def draw(results: Sequence[Measured], path: Path) -> None:
    """Draw every panel whose curves were measured into one SVG."""
    cases = {result.case: result for result in results}
    # The same file for the same numbers, with text as text.
    matplotlib.rcParams.update({"svg.hashsalt": "wellstream", "svg.fonttype": "none"})
    panels = [panel for panel in PANELS if set(panel.cases) <= set(cases)]
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(11, 3.1 * rows), layout="constrained")
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 3, place)
        for case, label in panel.cases.items():
            _curves(axes, cases[case], label, panel.unit)
        axes.set(xlabel=panel.across, ylabel=panel.up)
        if panel.log[0]:
            axes.set_xscale("log")
        if panel.ticks:
            axes.set_xticks(panel.ticks)
        if panel.log[1]:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, None)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _curves(axes: Axes, case: Measured, label: str, unit: float) -> None:
    """Median and range of each arm, ``<number> <what>`` or ``<curve>, <number> <what>``."""
    lines: dict[str, list[tuple[float, list[float]]]] = {}
    for arm, seconds in case.costs.seconds.items():
        curve, _, point = arm.rpartition(", ")
        values = [unit * value / case.items for value in seconds]
        lines.setdefault(curve or label, []).append((float(point.split()[0]), values))
    for name, unsorted in lines.items():
        points = sorted(unsorted)
        middle = [float(np.median(values)) for _, values in points]
        low = [m - min(values) for m, (_, values) in zip(middle, points, strict=True)]
        high = [max(values) - m for m, (_, values) in zip(middle, points, strict=True)]
        axes.errorbar(
            [x for x, _ in points], middle, yerr=[low, high], marker="o", markersize=4, capsize=2, label=name or None
        )


def _table(
    case: str, arms: list[Arm], repetitions: int, unit: str, items: int, flat: Iterable[tuple[str, str]] = ()
) -> Measured:
    return Measured(
        theme="growth",
        case=case,
        unit=unit,
        items=items,
        costs=measure(arms, repetitions),
        limit=arms[0].name,
        targets=tuple(Target(arm=far, over=near, least=_FLAT, clock="cpu") for near, far in flat),
    )


def _simulated(n_bags: int, per_bag: int) -> PlanUniverse:
    bags = np.arange(n_bags, dtype=np.int64)
    start = np.arange(n_bags + 1, dtype=np.int64) * per_bag
    return PlanUniverse(bags=bags, bag_start=start, group=bags % (n_bags // WELLS))


def _balanced(universe: PlanUniverse, rows: int) -> Plan:
    config = BalancedBagsConfig(by=("condition",), conditions=rows // WELLS, bags=WELLS, tiles=TILES)
    return build_plan(config, universe, seed=0)


def _plans(case: str, sizes: dict[int, tuple[int, int]], unit: str) -> Measured:
    """Steps of plans over ``size -> (bags, tiles per bag)``."""
    arms, flat = [], []
    for name in ("balanced_bags", "tiles"):
        for size, (n_bags, per_bag) in sizes.items():
            universe = _simulated(n_bags, per_bag)
            single = TilesConfig(tiles=ROWS * TILES)
            plan = _balanced(universe, ROWS) if name == "balanced_bags" else build_plan(single, universe, seed=0)
            arms.append(Arm(name=f"{name}, {size:.0e} {unit}", work=lambda plan=plan: _steps(plan)))
        flat.append((f"{name}, {min(sizes):.0e} {unit}", f"{name}, {max(sizes):.0e} {unit}"))
    return _table(case, arms, 7, "steps", _STEPS, flat)


def _steps(plan: Plan, world: int = 1) -> None:
    for step in range(_STEPS):
        plan.at(step).for_rank(world - 1, world)


def _worlds(case: str, worlds: list[int], rows: Callable[[int], int]) -> Measured:
    universe = _simulated(100_000, 1000)
    arms = []
    for world in worlds:
        plan = _balanced(universe, rows(world))
        arms.append(Arm(name=named(world), work=lambda plan=plan, world=world: _steps(plan, world)))
    same = rows(worlds[0]) == rows(worlds[-1])
    return _table(case, arms, 5, "steps", _STEPS, [(arms[0].name, arms[-1].name)] if same else [])


def _opening(bags: list[int]) -> Measured:
    arms = [Arm(name=f"{n:.0e} bags", work=lambda n=n: _balanced(_simulated(n, 1000), ROWS)) for n in bags]
    return _table(OPEN_PLAN, arms, 5, "plans", 1)


def _datasets(tiles: list[int]) -> Measured:
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        arms = []
        for n in tiles:
            folder = Path(name) / str(n)
            tables.write_without_pixels(folder, n, max(1, n // 1000))
            arms.append(Arm(name=f"{n:.0e} tiles", work=lambda folder=folder: Dataset.open(folder)))
        return _table(OPEN_DATASET, arms, 5, "datasets", 1)


def _training() -> list[Measured]:
    """Steps of the real network: over tiles per step in one process, and from disk over ranks."""
    n_bags, per_bag, steps = 16, 32, 2
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name, ExitStack() as held:
        dataset = write_dataset(Path(name) / "tar", draw_pixels(n_bags * per_bag), per_bag)
        arms = []
        for bags, tiles in ((2, 4), (4, 4), (8, 4), (8, 8)):
            trainer = Trainer(dataset, Setting(bags=bags, tiles=tiles), Ranks.solo(), Path(name) / f"{bags}x{tiles}")
            held.callback(trainer.close)
            batches = list(trainer.loader.batches(0, 1))
            arms.append(Arm(name=f"{bags * tiles} tiles", work=lambda t=trainer, batches=batches: t.run(batches)))
        batch = _table(BY_BATCH, arms, 3, "steps", 1)
        tables.write(dataset)
        facts: dict[int, list[list[RankFacts]]] = {world: [] for world in WORLDS}
        for _ in range(3):
            for world, found in facts.items():
                found.append(launch(dataset.root, Setting(bags=8, tiles=4), world, steps, 2))
    return [batch, _over_ranks(rank_costs(facts), steps)]


def _over_ranks(costs: Costs, steps: int) -> Measured:
    cores = len(os.sched_getaffinity(0))
    return Measured(
        theme="growth",
        case=TRAINING,
        unit="steps",
        items=steps,
        costs=costs,
        limit=next(iter(costs.seconds)),
        notes=(f"gloo on this machine: all ranks share {cores} cores, which 1 rank uses with as many threads",),
    )
