"""From a run folder to the collaborators of the training loop."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from framework import checkpoint
from framework.checkpoint import Checkpoint
from framework.config import config_digest
from framework.data.dataset import Dataset
from framework.data.loading.loader import Loader
from framework.data.plan import Plan
from framework.data.split import Parts
from framework.distributed import Ranks, single_value_batch_norm, sync_batch_norm
from framework.errors import CheckpointError, RunError
from framework.files.failures import reading
from framework.objectives import Objective
from framework.run.train.batches import open_loader, open_store, plan_of
from framework.run.train.config import Draw, RunConfig
from framework.run.train.folder import Measured, RunFolder
from framework.run.train.objective import initial_objective, placed
from framework.run.train.prepare import Prepared, Start
from framework.run.train.tracked import settings_of_run
from framework.tracking import AuditLog, Head, Tracker, commit_of, heads_in, heads_of_state, versions
from framework.trainer import (
    Average,
    Collaborators,
    Progress,
    TrainConfig,
    build_optimiser,
    build_scaler,
    build_scheduler,
)

log = logging.getLogger(__name__)

FEW_TILES = 16
"""Of a rank and step: as few as 8 pairs."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """What training begins with.

    Attributes:
        collaborators: collaborators of this rank.
        progress: what is done already.
        train: the section ``train``, with the number of steps.
        plan: plan of training.
    """

    collaborators: Collaborators
    progress: Progress
    train: TrainConfig
    plan: Plan


def build(config: RunConfig, folder: RunFolder, prepared: Prepared, ranks: Ranks) -> Built:
    """Return the collaborators of this rank, with everything that the attempt resumes from loaded.

    Raises:
        WellstreamError: data, split, plan and objective do not fit together; the message says how.
    """
    start, measured = prepared.start, prepared.measured
    objective = _objective(config, folder, prepared, ranks)
    optimiser = build_optimiser(objective, config.optim)
    found = prepared.found
    if found is None and start.checkpoint is not None:
        found = checkpoint.load(start.checkpoint)
    progress, before = _resumed(start, found, objective, optimiser)
    plan, loader, validation = _loaders(config, prepared, objective, ranks)
    train = _with_steps(config, plan)
    if ranks.is_main:
        _warn_of_few_tiles(config, plan, ranks.world_size)
    scheduler = build_scheduler(optimiser, config.optim, train.steps_in_all, progress.step)
    average = None if train.ema is None else Average(objective, train.ema.decay, found.average if found else None)
    _cut(config, train, plan, objective, ranks)
    if train.compile:
        objective.compile()
    tracker = Tracker.open(
        folder.root,
        config.tracking,
        ranks.is_main,
        attempt=start.attempt,
        start=start.step,
        settings=settings_of_run(config, measured.facts, ranks.world_size, commit_of(Path.cwd())),
    )
    if start.checkpoint is None:
        tracker.table("split", _split_table(measured.parts, prepared.dataset), step=0)
    collaborators = Collaborators(
        ranks=ranks,
        loader=loader,
        validation=validation,
        objective=objective,
        optimiser=optimiser,
        scheduler=scheduler,
        checkpoints=folder.checkpoints,
        tracker=tracker,
        audit=_audit(folder, start, ranks, before),
        facts=checkpoint_facts(
            config,
            measured,
            prepared.identity,
            attempt=start.attempt,
            world_size=ranks.world_size,
            wandb_id=tracker.wandb_id,
        ),
        average=average,
        scaler=build_scaler(train.precision, ranks.device, found.scaler if found else None),
    )
    return Built(collaborators=collaborators, progress=progress, train=train, plan=plan)


def _cut(config: RunConfig, train: TrainConfig, plan: Plan, objective: Objective, ranks: Ranks) -> None:
    """Tell an objective that couples rows in how many parts to see them. Raises RunError where there are fewer rows."""
    rows = -(-plan.rows // ranks.world_size)
    couples = config.objective.couples_rows
    most = rows * plan.tiles_per_row if couples else rows
    if train.accumulate > most:
        raise RunError(
            f"train.accumulate: expected at most {most}, the {'tiles' if couples else 'rows'} of a step that a process "
            f"has, found {train.accumulate}"
        )
    if couples and train.accumulate > 1:
        objective.cache_gradients(train.accumulate)


def _with_steps(config: RunConfig, plan: Plan) -> TrainConfig:
    """Return the section ``train`` with the number of steps. Raises RunError where the warm-up is longer than that."""
    train, warmup = config.train.with_steps(plan.steps_per_epoch), config.optim.warmup_steps
    if warmup and warmup >= train.steps_in_all:
        raise RunError(
            f"optim.warmup_steps: expected fewer than the {train.steps_in_all} steps of train.epochs="
            f"{config.train.epochs} ({plan.steps_per_epoch} steps per epoch), found {warmup}"
        )
    return train


def _warn_of_few_tiles(config: RunConfig, plan: Plan, world_size: int) -> None:
    """Say where ranks have so little to compute that exchanging statistics takes longer."""
    tiles = -(-plan.rows // world_size) * plan.tiles_per_row
    if world_size > 1 and config.train.batch_norm == "sync" and tiles <= FEW_TILES:
        log.warning(
            "train.batch_norm=sync exchanges statistics at every layer, and each of %d ranks has %d tiles of a step: "
            "more ranks will not be faster; use fewer, or a larger plan",
            world_size,
            tiles,
        )


def _warn_of_padding(config: RunConfig, plan: Plan) -> None:
    """Say where a step asks for more than the whole part has, and is filled up with rows that count nowhere."""
    first = plan.at(0)
    counted = int((first.weights > 0).sum())
    if plan.steps_per_epoch > 1 or counted == plan.rows:
        return
    units = len(plan.visits(first))
    log.warning(
        "plan '%s' asks for %d rows per step, and part 'train' has %d (%d %s%s): each step is that, and its other rows "
        "are computed and count nowhere; ask for fewer per step, or give the part more",
        config.plan.name,
        plan.rows,
        counted,
        units,
        plan.unit,
        "" if units == 1 else "s",
    )


def _split_table(parts: Parts, dataset: Dataset) -> pd.DataFrame:
    """Return bags and tiles of each part."""
    table = pd.DataFrame({"part": parts, "bags": 1, "tiles": np.diff(dataset.index.bag_start)})
    return table.groupby("part", as_index=False).sum()


def checkpoint_facts(
    config: RunConfig,
    measured: Measured,
    identity: dict[str, Any],
    *,
    attempt: int,
    world_size: int,
    wandb_id: str,
) -> dict[str, Any]:
    """Return what every ``state.json`` of an attempt holds beside step, progress and audit."""
    return {
        "run": identity,
        "attempt": attempt,
        "seed": config.train.seed,
        "world_size": world_size,
        "config_digest": config_digest(config),
        "objective": measured.facts.plain(),
        "scale": measured.scale.plain(),
        "channels": list(measured.scale.channels),
        "wandb_id": wandb_id,
        "versions": versions(),
    }


def _loaders(
    config: RunConfig, prepared: Prepared, objective: Objective, ranks: Ranks
) -> tuple[Plan, Loader, tuple[Loader, int] | None]:
    """Return plan and loader of training, and the loader of validation with its steps where the run evaluates."""
    dataset, parts, scale = prepared.dataset, prepared.measured.parts, prepared.measured.scale
    labels, store = objective.labels(dataset), open_store(config, dataset, scale.channels)
    plan = plan_of(config, dataset, parts, "train", objective, labels, Draw.BATCHES)
    objective.check_plan(plan, labels, "train")
    if ranks.is_main:
        _warn_of_padding(config, plan)
    loader = open_loader(config, store, plan, ranks=ranks, scale=scale, labels=labels, augment=config.data.augment)
    if config.train.evaluate_every is None:
        return plan, loader, None
    held_out = plan_of(config, dataset, parts, "val", objective, labels, Draw.VALIDATION)
    objective.check_plan(held_out, labels, "val")
    source = open_loader(config, store, held_out, ranks=ranks, scale=scale, labels=labels)
    return plan, loader, (source, held_out.steps_per_epoch)


def _audit(folder: RunFolder, start: Start, ranks: Ranks, before: dict[int, Head] | None) -> AuditLog:
    """Open this rank's audit; ``before`` is None where the checkpoint of this run holds no heads yet."""
    if before is None:
        before = {rank: head for rank, head in heads_in(folder.root).items() if rank >= ranks.world_size}
    header = start.header(ranks.world_size)
    return AuditLog(folder.root, rank=ranks.rank, attempt=start.attempt, header=header, before=before)


def _resumed(
    start: Start, found: Checkpoint | None, objective: Objective, optimiser: torch.optim.Optimizer
) -> tuple[Progress, dict[int, Head] | None]:
    """Load the checkpoint of ``start``, where there is one; return how far it had come and its heads of the audit."""
    if start.checkpoint is None or found is None:
        return Progress(), {}
    checkpoint.restore(found, objective)
    checkpoint.restore_optimiser(found, optimiser)
    if start.parent is None:
        # What was best in another run says nothing about this one, and its audit lies elsewhere.
        return Progress(step=found.step), {}
    facts = {**found.fact("progress", dict), "step": found.step}
    with reading(start.checkpoint, CheckpointError, "a checkpoint", "resume from an older checkpoint"):
        progress = Progress.from_plain(facts)
    return progress, heads_of_state(found.state, start.checkpoint)


def _objective(config: RunConfig, folder: RunFolder, prepared: Prepared, ranks: Ranks) -> Objective:
    """Return the objective on its device as a run begins; a checkpoint that follows has other weights."""
    base, begins = prepared.base, prepared.start.checkpoint is None
    objective, taken = initial_objective(
        config, prepared.measured.profile, base.backbone if base else None, published=begins
    )
    if taken is not None and ranks.is_main:
        folder.write_taken(taken)
    if config.train.batch_norm == "sync":
        sync_batch_norm(objective, ranks)
    if config.train.batch_norm != "frozen":
        single_value_batch_norm(objective)
    return placed(objective, config, ranks)
