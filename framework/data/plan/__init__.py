"""Plans: which tiles make up global step t, as a pure function of (universe, seed, step).

It does not depend on rank, worker or process group. So every world size sees the same batches, a resume needs one
integer, and a plan can be computed again later to prove what was consumed.
"""

from framework.data.plan.bags import BagsConfig, BagsPlan, EveryBag
from framework.data.plan.balanced import BalancedBagsConfig
from framework.data.plan.base import PLANS, Plan, PlanConfig, StepRows, build_plan, digest_rows, digest_tiles, plan_over
from framework.data.plan.pairs import MismatchedPairs, PairsConfig, PairsPlan
from framework.data.plan.steps import EveryNthStep
from framework.data.plan.tiles import EveryTile, TilesConfig
from framework.data.plan.universe import Exclusion, PlanUniverse

__all__ = [
    "PLANS",
    "BagsConfig",
    "BagsPlan",
    "BalancedBagsConfig",
    "EveryBag",
    "EveryNthStep",
    "EveryTile",
    "Exclusion",
    "MismatchedPairs",
    "PairsConfig",
    "PairsPlan",
    "Plan",
    "PlanConfig",
    "PlanUniverse",
    "StepRows",
    "TilesConfig",
    "build_plan",
    "digest_rows",
    "digest_tiles",
    "plan_over",
]
