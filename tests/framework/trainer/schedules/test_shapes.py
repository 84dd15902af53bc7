"""The curves of the schedules are those of torch's schedulers, step by step."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import pytest
import torch
from torch.optim import lr_scheduler

from framework.trainer.schedules import (
    SCHEDULES,
    CosineConfig,
    LinearConfig,
    OneCycleConfig,
    ScheduleConfig,
    StepConfig,
)
from wellstream.testing import ScheduleContract

STEPS = 40
CURVES: dict[str, tuple[ScheduleConfig, Any]] = {
    "cosine": (CosineConfig(), lambda made: lr_scheduler.CosineAnnealingLR(made, STEPS)),
    "linear": (
        LinearConfig(end=0.25),
        lambda made: lr_scheduler.LinearLR(made, start_factor=1.0, end_factor=0.25, total_iters=STEPS),
    ),
    "step": (StepConfig(every=7, factor=0.5), lambda made: lr_scheduler.StepLR(made, step_size=7, gamma=0.5)),
    "one_cycle": (OneCycleConfig(), lambda made: lr_scheduler.OneCycleLR(made, max_lr=1.0, total_steps=STEPS)),
    "one_cycle early": (
        OneCycleConfig(rise=0.1, start=0.5, end=0.01),
        lambda made: lr_scheduler.OneCycleLR(
            made, max_lr=1.0, total_steps=STEPS, pct_start=0.1, div_factor=2.0, final_div_factor=50.0
        ),
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_rate_of_each_step_is_that_of_torch(name: str) -> None:
    options, build = CURVES[name]
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs, rates = build(optimiser), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing is optimised here
        for _ in range(STEPS):
            rates.append(optimiser.param_groups[0]["lr"])
            theirs.step()
    factor = SCHEDULES.get(options.name).build
    assert [factor(options, step, STEPS) for step in range(STEPS)] == pytest.approx(rates, abs=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", CURVES)
def test_runs_of_few_steps_have_rates_too(name: str, steps: int) -> None:
    options, _ = CURVES[name]
    factor = SCHEDULES.get(options.name).build
    assert all(0.0 <= factor(options, step, steps) <= 1.0 for step in range(steps + 1))


class TestLinear(ScheduleContract):
    plain: ClassVar[Any] = {"name": "linear", "end": 0.1}


class TestStep(ScheduleContract):
    plain: ClassVar[Any] = {"name": "step", "every": 3}


class TestOneCycle(ScheduleContract):
    plain: ClassVar[Any] = {"name": "one_cycle"}
