"""A trained model as a run folder: what ``wellstream train`` would have left there, written once at the end.

The folder is made under another name and renamed, so it is whole or absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from framework import checkpoint
from framework.distributed import Ranks
from framework.durable import folder_beside, sync_folder
from framework.models import BagEncoder
from framework.objectives import OmicsHeads, OmicsHeadsConfig
from framework.objectives.omics_heads import OmicsHeadsProfile
from framework.run.heads.chunk import HeadState
from framework.run.heads.config import OneHead
from framework.run.heads.training import Trained
from framework.run.train.build import checkpoint_facts
from framework.run.train.fit import write_summary
from framework.run.train.folder import Measured, RunFolder
from framework.run.train.identity import facts_of_run
from framework.run.train.prepare import Start
from framework.tracking import AuditLog, Tracker, heads_to_plain
from framework.trainer import Outcome, Speed, build_optimiser, build_scheduler, rate_factor


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What is known of a model beside its weights.

    Attributes:
        one: name and config.
        measured: on its training part.
        encoder: the frozen bag encoder, shared by all.
        bags: bags.parquet.
    """

    one: OneHead
    measured: Measured
    encoder: BagEncoder
    bags: pd.DataFrame

    @property
    def objective(self) -> OmicsHeads:
        """The objective with fresh heads, drawn from torch's current random state."""
        options, profile = self.one.config.objective, self.measured.profile
        if not (isinstance(options, OmicsHeadsConfig) and isinstance(profile, OmicsHeadsProfile)):
            raise TypeError(f"expected omics_heads, found {type(options).__name__}")
        return OmicsHeads(options, profile, encoder=self.encoder)


class RunWriter:
    """Writes run folders of models that were trained together.

    Args:
        ranks: the process that trained them.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._schedules: dict[int, tuple[dict[str, Any], list[dict[str, Any]]]] = {}

    def write(self, known: Known, trained: Trained, seconds: float) -> Path:
        """Write one model.

        Args:
            known: what it is.
            trained: what training left behind, with ``final``.
            seconds: seconds that the training of all models took so far.

        Returns:
            Its folder.

        Raises:
            OSError: its place cannot be written.
            CheckpointError: the disk is full.
        """
        target = Path(known.one.config.run_dir)
        with folder_beside(target) as beside:
            self._fill(RunFolder(root=beside), known, trained, seconds)
            beside.rename(target)
        sync_folder(target.parent)
        return target

    def _fill(self, folder: RunFolder, known: Known, trained: Trained, seconds: float) -> None:
        config = known.one.config
        facts = folder.write(config, known.measured, known.bags)
        measured = Measured(
            parts=known.measured.parts, scale=known.measured.scale, facts=facts, profile=known.measured.profile
        )
        start = Start(attempt=0, checkpoint=None, step=0, parent=None)
        named = config.tracking.model_copy(update={"name": config.tracking.name or known.one.name})
        settings = {**config.plain(), "world_size": self._ranks.world_size}
        tracker = Tracker.open(folder.root, named, True, settings=settings)
        values = _log(tracker, trained, known.one)
        saved = checkpoint_facts(
            config,
            measured,
            facts_of_run(folder, config),
            attempt=0,
            world_size=self._ranks.world_size,
            wandb_id=tracker.wandb_id,
        )
        self._checkpoints(folder, known, trained, start, saved)
        folder.write_config(config)
        tracker.close()
        write_summary(folder, start, self._ranks, _outcome(trained, seconds, values))

    def _checkpoints(
        self, folder: RunFolder, known: Known, trained: Trained, start: Start, facts: Mapping[str, Any]
    ) -> None:
        """Write audit and checkpoints: of the last step, and of the best one where patience looked for it."""
        last, best = trained.progress.step, trained.progress.best_step
        states: dict[int, HeadState | None] = {last: trained.final}
        if trained.best is not None and best is not None and best != last:
            states[best] = trained.best
        header = start.header(self._ranks.world_size)
        audit = AuditLog(folder.root, rank=0, attempt=0, header=header)
        rows, digests, done = trained.visits.rows.tolist(), trained.visits.digests.tolist(), 0
        for step in sorted(states):
            audit.append_all(done, rows[done:step], digests[done:step])
            audit.sync()
            done = step
            progress = trained.progress_at(step)
            state = {**facts, "progress": progress.plain(), "audit": heads_to_plain(audit.heads([audit.head]))}
            path = self._save(folder, known, states[step], step, state)
            if trained.best is not None and step == best:
                checkpoint.write_pointer(folder.checkpoints, "best", path.name)
        audit.close()

    def _save(
        self, folder: RunFolder, known: Known, state: HeadState | None, step: int, facts: Mapping[str, Any]
    ) -> Path:
        if state is None:
            raise RuntimeError(f"{known.one.name}: nothing was kept of step {step}")
        config = known.one.config
        with torch.random.fork_rng(devices=[]):
            objective = known.objective
        head = objective.heads[0]
        head.load_state_dict({"weight": state.weight, "bias": state.bias})
        optimiser = build_optimiser(objective, config.optim)
        schedule, groups = self._schedule(known, step)
        moments = {at: {name: each[at] for name, each in state.moments.items()} for at in (0, 1)}
        # A scheduler begins with the rate that it finds, which must be that of the config.
        scheduler = build_scheduler(optimiser, config.optim, config.train.steps_in_all)
        scheduler.load_state_dict(schedule)
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        contents = checkpoint.contents_of(
            step=step, objective=objective, optimiser=optimiser, scheduler=scheduler, state=facts
        )
        return checkpoint.write(folder.checkpoints, contents)

    def _schedule(self, known: Known, step: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the states of scheduler and parameter groups after ``step`` steps; those of all models are equal."""
        if step not in self._schedules:
            config = known.one.config
            two = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
            stand_in = torch.nn.ParameterList(two)
            optimiser = build_optimiser(stand_in, config.optim)
            scheduler = build_scheduler(optimiser, config.optim, config.train.steps_in_all)
            for each in two:
                each.grad = torch.zeros(1)
            optimiser.step()
            for _ in range(step):
                scheduler.step()
            self._schedules[step] = scheduler.state_dict(), optimiser.state_dict()["param_groups"]
        return self._schedules[step]


def _log(tracker: Tracker, trained: Trained, one: OneHead) -> dict[str, float]:
    """Log what the trainer would have logged, and return the last numbers."""
    train, optim, values, before = one.config.train, one.config.optim, dict[str, float](), 0
    for step in sorted({*trained.norms, *trained.validations}):
        if step in trained.norms:
            total, count = (each[before:step].sum() for each in (trained.losses, trained.counts))
            loss, before = float(total / count) if count else math.nan, step
            rate = optim.lr * rate_factor(step - 1, optim, train.steps_in_all)
            values = {"loss": loss, f"mse/{one.target}": loss, "lr": rate, "grad_norm": trained.norms[step]}
            tracker.log(step, values)
        if step in trained.validations:
            loss = trained.validations[step]
            losses = {"val_loss": loss, f"val_mse/{one.target}": loss}
            tracker.log(step, losses)
            values = values | losses
    tracker.sync()
    return values


def _outcome(trained: Trained, seconds: float, values: Mapping[str, float]) -> Outcome:
    rows = int(trained.visits.rows[: trained.progress.step].sum())
    speed = Speed(tiles_per_s=rows * trained.visits.tiles / max(seconds, 1e-9), wait_share=0.0, wait_rank=0)
    return Outcome(
        ended_by=trained.ended_by, progress=trained.progress, seconds=seconds, speed=speed, values=dict(values)
    )
