"""Means are sums over counts; shares name the slowest rank."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

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
        return [fact, (4.0, 2.0, 10), (5.0, 1.0, 10)]


def test_speed_names_the_rank_that_waits_longest() -> None:
    clock = Clock()
    clock.add(3.0, 0.0, 5)
    clock.add(1.0, 0.4, 5)
    solo = Ranks.solo()
    ranks = Three(rank=0, world_size=3, local_rank=0, device=solo.device)
    speed = clock.read(ranks)
    assert speed is not None
    assert (speed.wait_share, speed.wait_rank) == (0.5, 1)
    assert speed.tiles_per_s == pytest.approx(30 / 5.0)
    clock.reset()
    assert clock.read(solo) is None
