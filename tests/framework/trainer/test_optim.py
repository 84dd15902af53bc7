"""Learning rates by hand; optimisers by their torch class."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from framework.errors import RunError
from framework.trainer import AdamWConfig, OptimConfig, TrainConfig, build_optimiser, build_scheduler
from framework.trainer.optim import rate_factor
from framework.trainer.optimisers import AdamConfig, SgdConfig
from framework.trainer.optimisers.base import fused


def test_warm_up_then_cosine() -> None:
    config = AdamWConfig(schedule="cosine", warmup_steps=4)
    rates = [rate_factor(step, config, 14) for step in range(15)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[9] == pytest.approx(0.5)
    assert rates[13] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.9)))
    assert rates[14] == pytest.approx(0.0)
    assert all(rate > 0 for rate in rates[:14])


def test_constant_stays() -> None:
    assert {rate_factor(step, AdamWConfig(), 10) for step in range(10)} == {1.0}


@pytest.mark.parametrize(
    ("options", "kind"),
    [(AdamWConfig, torch.optim.AdamW), (AdamConfig, torch.optim.Adam), (SgdConfig, torch.optim.SGD)],
)
def test_optimisers(options: type[OptimConfig], kind: type) -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    optimiser = build_optimiser(model, options(lr=0.3, betas=(0.8, 0.9), weight_decay=0.1))
    assert type(optimiser) is kind
    group = optimiser.param_groups[0]
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (0.3, 0.1, 1)
    assert group["momentum"] == 0.8 if kind is torch.optim.SGD else group["betas"] == (0.8, 0.9)


def test_scheduler_sets_the_rate_of_each_step() -> None:
    optimiser = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=2.0)
    scheduler = build_scheduler(optimiser, AdamWConfig(lr=2.0, warmup_steps=1), 10)
    assert optimiser.param_groups[0]["lr"] == 1.0
    optimiser.step()
    scheduler.step()
    assert optimiser.param_groups[0]["lr"] == 2.0


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(RunError, match="no parameters that train"):
        build_optimiser(nn.Linear(1, 1).requires_grad_(False), AdamWConfig())


def test_contradictions_are_sentences() -> None:
    with pytest.raises(ValidationError, match="patience: counts validation passes; set evaluate_every too"):
        TrainConfig(steps=1, patience=3)
    with pytest.raises(ValidationError, match=r"expected two numbers in \[0, 1\), found \[0.9, 1.0\]"):
        AdamWConfig(betas=(0.9, 1.0))


def test_a_resumed_scheduler_is_where_an_unbroken_one_is() -> None:
    """Whatever a checkpoint says of rates: they follow from the config and the step."""
    config = AdamWConfig(lr=2.0, warmup_steps=3)

    def rates(done: int, forged: float | None = None) -> list[float]:
        optimiser = build_optimiser(nn.Linear(2, 2), config)
        if forged is not None:
            optimiser.param_groups[0]["initial_lr"] = forged
        scheduler, found = build_scheduler(optimiser, config, 10, done), []
        for _ in range(done, 6):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()
        return found

    assert rates(0) == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert rates(2, forged=1e9) == [1.5, 2.0, 2.0, 2.0]


def test_one_kernel_where_all_parameters_lie_on_a_gpu() -> None:
    class OnGpu:
        is_cuda = True

    there: Any = OnGpu()
    assert fused([there, there]) is True
    assert fused([there, torch.zeros(1)]) is None
    assert build_optimiser(torch.nn.Linear(2, 1), AdamWConfig()).param_groups[0]["fused"] is None


def test_more_threads_than_batches_ahead_is_a_contradiction() -> None:
    with pytest.raises(ValidationError, match=r"threads: 4 threads make 4 batches .* set train\.prefetch=4 too"):
        TrainConfig(steps=1, threads=4)
    assert TrainConfig(steps=1, threads=4, prefetch=4).threads == 4
