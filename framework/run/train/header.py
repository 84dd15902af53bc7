"""What is said before the first step: on what, from what, how much."""

from __future__ import annotations

import torch

from framework.data.plan import Plan
from framework.distributed import Ranks
from framework.format import count, count_of
from framework.run.train.build import Built
from framework.run.train.config import RunConfig
from framework.run.train.prepare import Prepared


def header(config: RunConfig, prepared: Prepared, built: Built, ranks: Ranks) -> list[str]:
    """Return the lines: data, device and network, steps, and where they go."""
    data, train, first = prepared.dataset, built.train, built.progress.step
    whole, trains = parameters_of(built.collaborators.objective)
    tiles, per_epoch = tiles_per_step(built.plan), built.plan.steps_per_epoch
    network = count(whole) if whole == trains else f"{count(trains)} of {count(whole)}"
    extra = f", average of the weights with decay {train.ema.decay:g}" if train.ema else ""
    begins = f"goes on after step {first}" if first else "begins"
    lines = [
        f"{config.objective.name} on {data.manifest.name}: {count(data.manifest.n_tiles)} tiles in "
        f"{count(data.manifest.n_bags)} bags, channels {', '.join(prepared.measured.scale.channels)}",
        f"{device_of(ranks)}, {train.precision}; {network} parameters train{extra}",
        f"{count(train.steps_in_all)} steps of {count(tiles)} tiles, {count_of(per_epoch, 'step')} per epoch of each "
        f"{built.plan.unit} once ({train.steps_in_all / per_epoch:.3g} epochs); {begins}",
    ]
    return [*lines, *_parts(config, built.plan, ranks)]


def _parts(config: RunConfig, plan: Plan, ranks: Ranks) -> list[str]:
    """Return how a step is cut, where it is."""
    parts, rows = config.train.accumulate, -(-plan.rows // ranks.world_size)
    if parts == 1:
        return []
    if config.objective.couples_rows:
        most = -(-rows * plan.tiles_per_row // parts)
        how = "each is computed twice, because the loss compares the rows of the whole step"
    else:
        most = -(-rows // parts) * plan.tiles_per_row
        how = "their gradients are added up" + ("" if ranks.world_size == 1 else ", and exchanged after the last")
    return [f"each step in {parts} parts of at most {count(most)} tiles per process; {how}"]


def device_of(ranks: Ranks) -> str:
    """Return what computes, in words."""
    if ranks.device.type == "cuda":
        name = torch.cuda.get_device_name(ranks.device)
        return f"{ranks.world_size} x {name}" if ranks.world_size > 1 else name
    threads = torch.get_num_threads()
    each = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"CPU, {ranks.world_size} processes of {each}" if ranks.world_size > 1 else f"CPU with {each}"


def parameters_of(objective: torch.nn.Module) -> tuple[int, int]:
    """Return how many numbers the networks have, and how many of them train."""
    sizes = [(value.numel(), value.requires_grad) for value in objective.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trains in sizes if trains)


def tiles_per_step(plan: Plan) -> int:
    """Return the tiles of a whole global step."""
    return plan.rows * plan.tiles_per_row
