"""The same numbers: again on this device, and as float64 on the processor has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import OBJECTIVES, Scene
from framework.data.batch import Batch
from framework.objectives import Objective
from framework.run.train.rehearsal import first_steps

STEPS = 6
FARTHEST = 1e-4
"""Of the gradient in float32 without TF32, relative to its norm."""


def repeats(scene: Scene) -> Verdict:
    """Two trainings of a few steps, with ``train.deterministic`` and without it."""
    found: dict[str, dict[str, bool]] = {}
    for name in OBJECTIVES:
        found[name] = {}
        for deterministic in (True, False):
            first, second = (_trained(scene, name, deterministic) for _ in range(2))
            same = all(torch.equal(value, second[key]) for key, value in first.items())
            found[name]["deterministic" if deterministic else "fast"] = same
    passed = all(each["deterministic"] for each in found.values())
    expected = f"the same weights bit for bit after {STEPS} steps with train.deterministic; fast: as it is"
    return Verdict(passed=passed, expected=expected, found=found)


def agrees_with_float64(scene: Scene) -> Verdict:
    """Loss and gradient of one batch in float32 here, and in float64 on the processor, from the same weights."""
    found = {}
    for name in OBJECTIVES:
        config = scene.config(name)
        with scene.training(config, deterministic=True) as built:
            objective = built.collaborators.objective
            for batch, _ in first_steps(config, built, 1):
                here = _gradient(objective, batch)
                there = _gradient(objective.to("cpu").double(), _on_processor(batch))
        scale = float(there.norm())
        found[name] = float((here.cpu().double() - there).norm()) / scale
    passed = max(found.values()) <= FARTHEST
    return Verdict(passed=passed, expected=f"relative difference of at most {FARTHEST:g}", found=found)


def _trained(scene: Scene, name: str, deterministic: bool) -> dict[str, torch.Tensor]:
    config = scene.config(name)
    with scene.training(config, deterministic=deterministic) as built:
        for _, step in first_steps(config, built, STEPS):
            step().read()
        state = built.collaborators.objective.state_dict()
        return {key: value.detach().cpu().clone() for key, value in state.items()}


def _gradient(objective: Objective, batch: Batch) -> torch.Tensor:
    """Return the gradient of the mean loss as one vector; batch normalisation uses its running statistics."""
    objective.eval()
    objective.zero_grad(set_to_none=True)
    losses: Any = objective(batch, lambda rows: rows)
    (losses.total / losses.count.clamp(min=1)).backward()
    gradients = [value.grad.flatten() for value in objective.parameters() if value.grad is not None]
    return torch.cat(gradients).detach().clone()


def _on_processor(batch: Batch) -> Batch:
    there = batch.moved(lambda values: values.cpu())
    labels = {k: v.double() if v.is_floating_point() else v for k, v in there.labels.items()}
    return replace(there, tiles=there.tiles.double(), weights=there.weights.double(), labels=labels)


CHECKS = (
    Check(name="repeats", work=repeats),
    Check(name="agrees_with_float64", work=agrees_with_float64),
)
