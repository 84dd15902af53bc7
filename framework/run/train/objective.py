"""The objective of a run, as it begins: weights from the seed, then those of the run it builds on, then its device."""

from __future__ import annotations

import torch

from framework.config import StrictModel
from framework.distributed import Ranks
from framework.objectives import OBJECTIVES, Objective, PretrainedBackbone
from framework.run.train.config import Draw, RunConfig


def fresh_objective(config: RunConfig, profile: StrictModel) -> Objective:
    """Return the objective with fresh weights, drawn from torch's current random state."""
    return OBJECTIVES.get(config.objective.name).build(config.objective, profile)


def initial_objective(config: RunConfig, profile: StrictModel, backbone: PretrainedBackbone | None) -> Objective:
    """Return the objective with its initial weights, which depend on the seed alone.

    Args:
        config: of the run.
        profile: what the objective measured on the training part.
        backbone: of the run it builds on; None where it builds on none, and where a checkpoint has these weights too.
    """
    torch.manual_seed(config.seed_of(Draw.WEIGHTS))
    objective = fresh_objective(config, profile)
    if backbone is not None:
        objective.start_from(backbone)
    return objective


def placed(objective: Objective, config: RunConfig, ranks: Ranks) -> Objective:
    """Return the objective on its device, in the memory format the run asks for."""
    objective.to(ranks.device)
    if config.train.channels_last:
        # nn.Module.to converts four-dimensional weights alone.
        objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return objective
