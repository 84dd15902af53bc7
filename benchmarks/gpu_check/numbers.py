"""The same numbers: again on this device, and as float64 on the processor has them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import OBJECTIVES, Scene
from framework.data.batch import Batch
from framework.objectives import Objective
from framework.run.train.rehearsal import iter_batches
from framework.trainer import Signals, train_step

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
        with scene.training(scene.config(name), deterministic=True) as built:
            run = built.collaborators
            with closing(iter_batches(run.loader.batches(0, 1))) as batches:
                batch = next(iter(batches))
                here = _gradient(run.objective, batch)
                there = _gradient(run.objective.to("cpu").double(), _on_processor(batch))
        scale = float(there.norm())
        found[name] = float((here.cpu().double() - there).norm()) / scale
    passed = max(found.values()) <= FARTHEST
    return Verdict(passed=passed, expected=f"relative difference of at most {FARTHEST:g}", found=found)


def _trained(scene: Scene, name: str, deterministic: bool) -> dict[str, torch.Tensor]:
    config = scene.config(name)
    with scene.training(config, deterministic=deterministic) as built:
        run = built.collaborators
        model = run.ranks.wrap(run.objective)
        run.objective.train()
        with closing(iter_batches(run.loader.batches(0, STEPS))) as batches:
            for batch in batches:
                train_step(run, model, batch, built.train, config.optim, Signals()).read()
        return {key: value.detach().cpu().clone() for key, value in run.objective.state_dict().items()}


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
