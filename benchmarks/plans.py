"""Theme ``plans``: a plan over 1e9 tiles in 1e6 bags, which only its index of bags is made for, and how well it mixes.

Limit: hashing as many integers as a step names tiles. Opening and memory are findings.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np

from benchmarks.harness import Arm, Finding, Measured, measure
from framework.data.permutation import hash_u64
from framework.data.plan import BagsConfig, BalancedBagsConfig, Plan, PlanUniverse, TilesConfig, build_plan

ROWS, TILES = 240, 12
PER_BAG, PER_CONDITION, PER_PLATE = 1000, 20, 384
_OPEN_S, _OPEN_MB, _STEP_S = 2.0, 200.0, 1e-3
_ENTROPY = 0.97
_STEPS = 20


def run(*, quick: bool) -> list[Measured]:
    """Open plans over simulated bags (1e5 bags when quick) and draw steps from them."""
    n_bags = 100_000 if quick else 1_000_000
    start = np.arange(n_bags + 1, dtype=np.int64) * PER_BAG
    bags = np.arange(n_bags, dtype=np.int64)
    configs = {
        "balanced_bags": BalancedBagsConfig(by=("condition",), conditions=60, bags=4, tiles=TILES),
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
    case = f"{n_bags * PER_BAG:.0e} tiles in {n_bags:.0e} bags"
    limit = "hash as many integers"
    return [
        Measured(
            theme="plans", case=case, unit="steps", items=_STEPS, costs=costs, limit=limit, findings=tuple(findings)
        )
    ]


def entropy(plan: Plan, steps: int = 20) -> float:
    """Return the mean entropy of plates within a step over that of as many bags drawn from all plates at random."""
    n_plates = -(-int(1 + max(plan.at(step).bags.max() for step in range(steps))) // PER_PLATE)
    random = np.random.default_rng(0)
    found, ideal = [], []
    for step in range(steps):
        rows = plan.at(step)
        bags = rows.bags[rows.weights > 0]
        found.append(_entropy(bags // PER_PLATE))
        ideal.append(_entropy(random.integers(0, n_plates, len(bags))))
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
