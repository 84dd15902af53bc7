"""Opening a trained run, to use it or to build another on its backbone, its channels and its scaling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from framework import checkpoint
from framework.checkpoint import Checkpoint
from framework.data.scales import ScaleProfile
from framework.distributed import Ranks
from framework.errors import CheckpointError, RunError
from framework.files.hdf5 import open_hdf5
from framework.files.json_file import read_mapping
from framework.models import Taken
from framework.objectives import Embeds, PretrainedBackbone
from framework.run.train.agreement import need_same_weights
from framework.run.train.config import RunConfig
from framework.run.train.folder import RunFolder
from framework.run.train.identity import need_facts_of
from framework.run.train.objective import fresh_objective, initial_objective, placed
from framework.run.train.opened import OpenedRun, solo


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """What a run on a frozen backbone takes over from its pretraining.

    Attributes:
        backbone: plan and weights.
        scale: the pretraining's scaling.
        weights: SHA-256 of the weights' file.
    """

    backbone: PretrainedBackbone
    scale: ScaleProfile
    weights: str


def open_run(
    run: Path | str, ranks: Ranks | None = None, *, untrained: bool = False, device: str | None = None
) -> OpenedRun:
    """Open a trained run with its best or newest valid checkpoint.

    Args:
        run: the run folder.
        ranks: where to compute, and with whom: each of these processes makes this call; default: this process, on
            ``device``.
        untrained: take the weights the run began with instead, which need no checkpoint.
        device: ``auto``, ``cpu`` or ``cuda``; None: what the run's config asks for, and the CPU, with a note, where
            there is no such device.

    Raises:
        ConfigError: no such device.
        RunError: no run folder, no checkpoint, or files that are not those the checkpoint was made with.
        CheckpointError: the chosen checkpoint is damaged.
    """
    folder = RunFolder(root=Path(run))
    config = folder.config()
    place = ranks or solo(config, device)
    profile, step, weights = folder.profile(config), 0, "untrained"
    if untrained:
        base = foundation(config)
        with torch.random.fork_rng(devices=[]):
            objective, taken = initial_objective(config, profile, base.backbone if base else None)
        _need_unchanged(folder, taken)
    else:
        path = folder.chosen_checkpoint()
        found = checkpoint.load(path)
        need_facts_of(path, found.state, folder, config)
        objective = fresh_objective(config, profile)
        average = found.average if config.train.ema is not None and config.train.ema.results else None
        checkpoint.restore(found if average is None else _with(found, average), objective)
        step = found.step
        weights = _digest_of_weights(path, checkpoint.WEIGHTS if average is None else checkpoint.AVERAGE)
    if place.world_size > 1:
        need_same_weights(folder.root, weights, place)
    objective = placed(objective, config, place)
    objective.eval()
    return OpenedRun(
        folder=folder,
        config=config,
        objective=objective,
        scale=folder.scale(),
        step=step,
        weights=weights,
        ranks=place,
    )


def _need_unchanged(folder: RunFolder, taken: Taken | None) -> None:
    """Refuse published weights that are not those which the run began with."""
    before = folder.taken()
    if taken is not None and before is not None and before.get("sha256") != taken.sha256:
        raise RunError(
            f"{taken.file}: not the weights that {folder.root} began with (SHA-256 {before.get('sha256')}); "
            "restore the former file"
        )


def foundation(config: RunConfig) -> Foundation | None:
    """Return what ``objective.pretrained`` names; None where the objective builds on nothing.

    Raises:
        RunError: no such run, or one that offers no backbone.
    """
    path = config.objective.builds_on
    if path is None:
        return None
    run = open_run(path, Ranks.solo())
    return Foundation(backbone=run.having(Embeds).backbone_facts(), scale=run.scale, weights=run.weights)


def foundation_to_train_on(config: RunConfig) -> Foundation | None:
    """Return the ``foundation``, after checking that cached embeddings were made with its very weights.

    Raises:
        RunError: as ``foundation``; or the embeddings come from another run, or from another checkpoint of it.
    """
    found = foundation(config)
    if found is not None and config.data.embeddings is not None:
        _need_made_with(config.data.embeddings, found, config)
    return found


def _need_made_with(path: str, found: Foundation, config: RunConfig) -> None:
    with open_hdf5(path, error=RunError, what="a file of 'wellstream embed'", then="embed again") as file:
        weights = str(file["uns/wellstream/weights"].asstr()[()])
    if weights != found.weights:
        pretrained = config.objective.builds_on
        raise RunError(
            f"{path}: made with other weights than objective.pretrained ({pretrained}) has now; embed again: "
            f"wellstream embed {pretrained} --out {path}"
        )


def _with(found: Checkpoint, average: dict[str, torch.Tensor]) -> Checkpoint:
    """Return a checkpoint with the average of the weights in their place."""
    return replace(found, weights={**found.weights, **average})


def _digest_of_weights(path: Path, file: str) -> str:
    manifest = read_mapping(path / "manifest.json", error=CheckpointError, what="the manifest of a checkpoint")
    return str(manifest["files"][file]["sha256"])
