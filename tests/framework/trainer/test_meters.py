"""Means are sums over counts; shares name the slowest rank."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from framework.distributed import Ranks
from framework.objectives import Losses
from framework.trainer.meters import Clock, LossMeter


def losses(total: float, count: float) -> Losses:
    pair = torch.tensor(total), torch.tensor(count)
    return Losses(total=pair[0], count=pair[1], parts={"half": (pair[0] / 2, pair[1])})


def test_steps_are_weighed_by_their_counts() -> None:
    meter, ranks = LossMeter(), Ranks.solo()
    assert meter.read(ranks) == {}
    meter.add(losses(10.0, 1.0))
    meter.add(losses(2.0, 3.0))
    assert meter.read(ranks) == {"loss": 3.0, "half": 1.5}
    meter.add(losses(0.0, 0.0))
    assert math.isnan(meter.read(ranks)["loss"])


class Three(Ranks):
    """Stands for three ranks of which this one is told what the others measured."""

    def gather_objects(self, fact: Any) -> list[Any]:
        return [fact, (4.0, 2.0, 3.0, 10), (5.0, 1.0, 2.0, 10)]


def test_speed_names_the_rank_that_waits_longest() -> None:
    clock = Clock()
    clock.add(3.0, 0.0, 5, 2.0)
    clock.add(1.0, 0.4, 5, 1.0)
    solo = Ranks.solo()
    ranks = Three(rank=0, world_size=3, local_rank=0, device=solo.device)
    speed = clock.read(ranks)
    assert speed is not None
    assert (speed.wait_share, speed.wait_rank) == (0.5, 1)
    assert speed.tiles_per_s == pytest.approx(30 / 5.0)
    # Outside of exchanges this rank took 1 s, the others 3 and 2: of the 4 s of the slowest, 1 s more than the mean.
    assert speed.values() == pytest.approx(
        {
            "tiles_per_s": 6.0,
            "wait_share": 0.5,
            "wait_rank": 1,
            "slow_rank": 1,
            "slow_share": 0.25,
            "wait_share_rank0": 0.1,
            "wait_share_rank1": 0.5,
            "wait_share_rank2": 0.2,
        }
    )
    alone = clock.read(solo)
    assert alone is not None
    assert set(alone.values()) == {"tiles_per_s", "wait_share", "wait_rank"}
    clock.reset()
    assert clock.read(solo) is None


def test_a_meter_adds_parts_that_come_and_go_and_types_that_differ() -> None:
    meter = LossMeter()
    one = torch.tensor
    meter.add(Losses(total=one(3.0), count=one(2.0), parts={"a": (one(1.0), one(4.0)), "b": (one(0.0), one(0.0))}))
    meter.add(Losses(total=one(5.0, dtype=torch.float64), count=one(2), parts={"a": (one(2.0), one(4.0))}))
    found = meter.read(Ranks.solo())
    assert found == pytest.approx({"loss": 2.0, "a": 0.375, "b": math.nan}, nan_ok=True)
    assert meter.read(Ranks.solo()) == {}


def test_fifty_parts_take_as_many_operations_as_one() -> None:
    class Counting(TorchDispatchMode):
        operations = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            Counting.operations += "detach" not in str(func)
            return func(*args, **(kwargs or {}))

    spent = []
    for parts in (1, 50):
        meter, Counting.operations = LossMeter(), 0
        pair = (torch.ones(()), torch.ones(()))
        losses = Losses(total=pair[0], count=pair[1], parts={str(number): pair for number in range(parts)})
        with Counting():
            meter.add(losses)
            meter.add(losses)
        spent.append(Counting.operations)
    assert spent[0] == spent[1]
