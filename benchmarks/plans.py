"""Theme ``plans``: a plan over 1e9 tiles in 1e6 bags, which only its index of bags is made for; how well it mixes; and
the index of tiles of a real dataset.

Limit: hashing as many integers as a step names tiles. Opening, memory and mixing are findings. Mixing is the entropy of
plates within a step, averaged over steps, over that of an ideal. The ideal of all plans is as many bags drawn from all
plates at random. Where all replicates of a condition lie on one plate, a step of P conditions with Q bags each cannot
show more than P plates, however it is drawn: there the plan is compared with conditions drawn at random too.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import tables
from benchmarks.harness import Arm, Finding, Measured, PeakMemory, measure
from framework.data.dataset import Dataset, TileIndex
from framework.data.permutation import I64, hash_u64
from framework.data.plan import BagsConfig, BalancedBagsConfig, Plan, PlanUniverse, TilesConfig, build_plan

ROWS, TILES = 240, 12
PER_BAG, PER_CONDITION, PER_PLATE = 1000, 20, 384
_OPEN_S, _OPEN_MB, _STEP_S = 2.0, 200.0, 1e-3
_ENTROPY = 0.97
_STEPS = 20
_INDEX_BYTES = 24.0
_CONDITIONS_PER_STEP = 60


def run(*, quick: bool) -> list[Measured]:
    """Open plans over simulated bags (1e5 bags when quick) and draw steps from them."""
    n_bags = 100_000 if quick else 1_000_000
    start = np.arange(n_bags + 1, dtype=np.int64) * PER_BAG
    bags = np.arange(n_bags, dtype=np.int64)
    configs = {
        "balanced_bags": BalancedBagsConfig(
            by=("condition",), conditions=_CONDITIONS_PER_STEP, bags=ROWS // _CONDITIONS_PER_STEP, tiles=TILES
        ),
        "bags": BagsConfig(bags=ROWS, tiles=TILES),
        "tiles": TilesConfig(tiles=ROWS),
    }
    # Replicates of a condition lie on different plates, as in a screen.
    conditions = np.arange(n_bags, dtype=np.int64) % (n_bags // PER_CONDITION)
    plans: dict[str, Plan] = {}
    findings: list[Finding] = []
    for name, config in configs.items():
        tracemalloc.start()
        began = time.perf_counter()
        universe = PlanUniverse(bags=bags, bag_start=start, group=conditions)
        plans[name] = build_plan(config, universe, seed=0)
        seconds = time.perf_counter() - began
        peak = (tracemalloc.get_traced_memory()[1] + bags.nbytes + start.nbytes) / 1e6
        tracemalloc.stop()
        findings += [
            Finding(name=f"open {name}", value=seconds, unit="s", most=_OPEN_S),
            Finding(name=f"memory of {name} with its index", value=peak, unit="MB", most=_OPEN_MB),
            Finding(name=f"plate entropy of {name} over ideal", value=entropy(plans[name]), unit="x", least=_ENTROPY),
        ]

    arms = [Arm(name="hash as many integers", work=_hash, is_limit=True), *(_arm(name, plans[name]) for name in plans)]
    costs = measure(arms, 5 if quick else 15)
    for name in plans:
        each = float(np.median(costs.seconds[name])) / _STEPS
        findings.append(
            Finding(
                name=f"a step of {name}, K=240, N={plans[name].tiles_per_row}",
                value=each * 1e3,
                unit="ms",
                most=_STEP_S * 1e3,
            )
        )
    findings += _one_plate_per_condition(bags, start)
    case = f"{n_bags * PER_BAG:.0e} tiles in {n_bags:.0e} bags"
    limit = "hash as many integers"
    return [
        Measured(
            theme="plans", case=case, unit="steps", items=_STEPS, costs=costs, limit=limit, findings=tuple(findings)
        ),
        _index(100_000 if quick else 10_000_000),
    ]


def _one_plate_per_condition(bags: I64, start: I64) -> list[Finding]:
    """Mixing of ``balanced_bags`` where consecutive bags, on one plate, are the replicates of a condition."""
    config = BalancedBagsConfig(
        by=("condition",), conditions=_CONDITIONS_PER_STEP, bags=ROWS // _CONDITIONS_PER_STEP, tiles=TILES
    )
    wells = ROWS // _CONDITIONS_PER_STEP
    plan = build_plan(config, PlanUniverse(bags=bags, bag_start=start, group=bags // wells), seed=0)
    name = "plate entropy of balanced_bags, each condition on one plate, over"
    return [
        Finding(name=f"{name} bags drawn at random", value=entropy(plan), unit="x"),
        Finding(name=f"{name} conditions drawn at random", value=entropy(plan, wells), unit="x", least=_ENTROPY),
    ]


def _index(n_tiles: int) -> Measured:
    """What the index of tiles of an opened dataset takes; limit: reading its file."""
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        folder = Path(name) / "dataset"
        tables.write_without_pixels(folder, n_tiles, n_tiles // PER_BAG)
        file = folder / "tiles.arrow"
        with PeakMemory() as memory:
            dataset = Dataset.open(folder)
        arms = [
            Arm(name="read the bytes of tiles.arrow", work=file.read_bytes, is_limit=True),
            Arm(name="open the dataset", work=lambda: Dataset.open(folder)),
        ]
        costs = measure(arms, 3)
        on_disk = [(folder / name).stat().st_size / n_tiles for name in ("tiles.arrow", "tiles.parquet")]
    held, mapped = index_bytes(dataset.index)
    return Measured(
        theme="plans",
        case=f"index of a dataset of {n_tiles:.0e} tiles",
        unit="tiles",
        items=n_tiles,
        costs=costs,
        limit=arms[0].name,
        findings=(
            Finding(name="index, bytes per tile", value=(held + mapped) / n_tiles, unit="bytes", most=_INDEX_BYTES),
            Finding(name="of it in memory of each process", value=held / n_tiles, unit="bytes"),
            Finding(name="open it", value=float(np.median(costs.seconds[arms[1].name])), unit="s", most=_OPEN_S),
            Finding(name="tiles.arrow on the disk", value=on_disk[0], unit="bytes"),
            Finding(name="tiles.parquet on the disk", value=on_disk[1], unit="bytes"),
            Finding(
                name="peak while it opens, bytes per tile", value=memory.above_start_mb * 1e6 / n_tiles, unit="bytes"
            ),
        ),
        notes=() if mapped else ("the index lies in memory, once per process; it is not memory-mapped",),
    )


def index_bytes(index: TileIndex) -> tuple[int, int]:
    """Return the bytes of the columns of an index that lie in memory, and of those that are memory-mapped."""
    held = mapped = 0
    for column in (index.bag, index.shard, index.offset, index.bag_start, index.nbytes):
        if column is None:
            continue
        if _is_mapped(column):
            mapped += column.nbytes
        else:
            held += column.nbytes
    return held, mapped


def _is_mapped(column: np.ndarray[Any, Any]) -> bool:
    """Whether an array is a view of what Arrow mapped."""
    base: Any = column
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, pa.Array | pa.Buffer)


def entropy(plan: Plan, together: int = 1, steps: int = 20) -> float:
    """Return the mean entropy of plates within a step over that of an ideal step.

    Args:
        plan: over bags of which ``PER_PLATE`` in a row lie on a plate.
        together: in the ideal, so many bags at a time lie on a plate drawn at random.
        steps: to average over.
    """
    n_plates = -(-int(1 + max(plan.at(step).bags.max() for step in range(steps))) // PER_PLATE)
    random = np.random.default_rng(0)
    found, ideal = [], []
    for step in range(steps):
        rows = plan.at(step)
        bags = rows.bags[rows.weights > 0]
        found.append(_entropy(bags // PER_PLATE))
        ideal.append(_entropy(np.repeat(random.integers(0, n_plates, len(bags) // together), together)))
    return float(np.mean(found) / np.mean(ideal))


def _entropy(values: np.ndarray) -> float:
    share = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(share * np.log(share)).sum())


def _hash() -> None:
    for step in range(_STEPS):
        hash_u64(step, np.arange(ROWS * TILES))


def _arm(name: str, plan: Plan) -> Arm:
    def work() -> None:
        for step in range(_STEPS):
            plan.at(step)

    return Arm(name=name, work=work)
