"""The objective of a run, as it begins: weights from the seed, then those of the run it builds on, then its device."""

from __future__ import annotations

import logging

import torch

from framework.config import StrictModel
from framework.distributed import Ranks
from framework.errors import RunError
from framework.models import Taken, take_weights
from framework.objectives import OBJECTIVES, Embeds, Objective, PretrainedBackbone
from framework.run.train.config import Draw, RunConfig

log = logging.getLogger(__name__)


def fresh_objective(config: RunConfig, profile: StrictModel) -> Objective:
    """Return the objective with fresh weights, drawn from torch's current random state."""
    return OBJECTIVES.get(config.objective.name).build(config.objective, profile)


def initial_objective(
    config: RunConfig, profile: StrictModel, backbone: PretrainedBackbone | None, *, published: bool = True
) -> tuple[Objective, Taken | None]:
    """Return the objective with its initial weights, and what they took of published ones.

    They depend on the seed alone, and on the files and runs that the config names.

    Args:
        config: config of the run.
        profile: what the objective measured on the training part.
        backbone: backbone of the run it builds on; None where it builds on none, and where a checkpoint has these
            weights too.
        published: whether to read the weights that the objective's network names; not where a checkpoint follows.

    Raises:
        CheckpointError: published weights that are not those of the network.
    """
    torch.manual_seed(config.seed_of(Draw.WEIGHTS))
    objective = fresh_objective(config, profile)
    if backbone is not None:
        objective.start_from(backbone)
    options = config.objective.published if published else None
    if options is None:
        return objective, None
    if not isinstance(objective, Embeds):
        raise RunError(
            f"objective '{config.objective.name}' has no network that weights could be loaded into; leave 'weights' out"
        )
    found = take_weights(objective.feature_network(), options, objective.feature_channels())
    log.info("%s", found.sentence())
    return objective, found


def placed(objective: Objective, config: RunConfig, ranks: Ranks) -> Objective:
    """Return the objective on its device, in the memory format the run asks for."""
    objective.to(ranks.device)
    if config.train.channels_last:
        # nn.Module.to converts four-dimensional weights alone.
        objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return objective
