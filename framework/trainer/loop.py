"""The training loop, read from top to bottom: five collaborators, no callbacks.

Every step is a function of (weights, optimiser, step number). Batches come from a plan, and all other random numbers
are seeded from (seed, step, rank). So a resume needs one integer, and gives the same bits as an unbroken run.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from framework.data.batch import Batch
from framework.data.permutation import hash_u64
from framework.data.plan import StepRows, digest_rows
from framework.distributed import Ranks
from framework.objectives import Objective
from framework.trainer.collaborators import Collaborators, Source
from framework.trainer.config import TrainConfig
from framework.trainer.display import Display
from framework.trainer.gradients import backward
from framework.trainer.meters import Clock, LossMeter, Speed
from framework.trainer.optimisers import OptimConfig
from framework.trainer.progress import Progress
from framework.trainer.saving import is_due, is_over, save_if_due, share_statistics
from framework.trainer.step_numbers import StepFacts, Unread
from framework.trainer.stop import Signals, StoppedBy

WARM_UP_STEPS = 5
"""Steps that are not counted in the speed: they fill caches and choose kernels."""


_TIMEOUT = "train.timeout_s"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended.

    Attributes:
        ended_by: all steps done, no better validation loss for too long, or a signal.
        progress: what is done.
        seconds: seconds that this attempt took.
        speed: speed after the first steps; None if there were too few steps.
        values: the last logged numbers.
    """

    ended_by: Literal["steps", "patience"] | StoppedBy
    progress: Progress
    seconds: float
    speed: Speed | None
    values: Mapping[str, float]


def fit(run: Collaborators, train: TrainConfig, optim: OptimConfig, progress: Progress) -> Outcome:
    """Train from ``progress`` to ``train.steps``, early stopping or a signal; the last state is always checkpointed.

    Checkpoints are written while training goes on. All of them are on the disk when this returns or raises.

    Raises:
        RunError: the loss or gradient is not finite; nothing is saved then.
        CheckpointError: a checkpoint could not be written, at the latest one step or one checkpoint later.
    """
    began, first = time.perf_counter(), progress.step
    model = run.ranks.wrap(run.objective)
    meter, interval, steady, unread = LossMeter(), Clock(), Clock(), Unread()
    values: dict[str, float] = {}
    stopped_by: StoppedBy | None = None
    with (
        Signals(patient=run.ranks.world_size > 1) as signals,
        Display(shown=run.ranks.is_main, done=first, steps=train.steps_in_all) as display,
        closing(_iterator(run.loader, first, train.steps_in_all)) as batches,
        run.writer,
    ):
        _train_mode(run.objective, train)
        if progress.owes_evaluation:
            progress, stopped_by = _validated(run, train, progress, signals, display, values)
            save_if_due(run, progress, train, stopped_by)
        run.ranks.at("the first step")  # it compiles and fills caches
        while not stopped_by and not is_over(progress, train):
            run.writer.check()
            if progress.step > first:
                run.ranks.at(f"step {progress.step + 1}", train.timeout_s, _TIMEOUT)
            started, waited_before, met_before = time.perf_counter(), run.loader.wait_s, run.ranks.met_s
            batch = next(batches)
            waited_s = run.loader.wait_s - waited_before
            facts = train_step(run, model, batch, train, optim, signals)
            rows = consumed_rows(batch)
            counted = int((rows.weights > 0).sum())
            run.audit.append(batch.step, counted, digest_rows(rows))
            took, met = time.perf_counter() - started, run.ranks.met_s - met_before
            for clock in (interval,) if progress.step < first + WARM_UP_STEPS else (interval, steady):
                clock.add(took, waited_s, counted * rows.tiles.shape[1], met)
            meter.add(facts.losses)
            progress = progress.after_step()
            if run.average is not None:
                run.average.update(progress.step)
            read = unread.after(facts, settle=_needs_numbers(progress, train))
            for seen in read:
                display.step(seen.step + 1, seen.loss)
                stopped_by = seen.stopped_by or stopped_by

            if is_due(progress, train.log_every, train):
                values = _log(run, meter, interval, facts.rate, read[-1].gradient_norm, progress.step)
                display.numbers(progress.step, values, interval.seconds / max(1, interval.steps))
                interval.reset()
            if train.evaluate_every and is_due(progress, train.evaluate_every, train):
                progress, told = _validated(run, train, progress, signals, display, values)
                stopped_by = told or stopped_by
            save_if_due(run, progress, train, stopped_by)
    speed = steady.read(run.ranks)
    is_done = progress.step >= train.steps_in_all and not progress.owes_evaluation
    ended_by, seconds = "steps" if is_done else stopped_by or "patience", time.perf_counter() - began
    return Outcome(ended_by=ended_by, progress=progress, seconds=seconds, speed=speed, values=values)


def train_step(
    run: Collaborators, model: nn.Module, batch: Batch, train: TrainConfig, optim: OptimConfig, signals: Signals
) -> StepFacts:
    """Queue one step; the returned object gives its numbers."""
    ranks = run.ranks
    torch.manual_seed(int(hash_u64(train.seed, batch.step, ranks.rank)) >> 1)
    run.optimiser.zero_grad(set_to_none=True)
    parts = 1 if run.objective.config.couples_rows else train.accumulate
    losses, sums = backward(run, model, batch, parts, signals)
    run.scaler.unscale_(run.optimiser)
    norm = _clipped(run.optimiser, optim.clip_norm)
    rate = float(run.optimiser.param_groups[0]["lr"])
    run.writer.settle()
    _step(run)
    return StepFacts(
        step=batch.step,
        losses=losses,
        rate=rate,
        sums=torch.cat([sums, norm.double()[None]]),
        scaler=run.scaler,
        ranks=ranks,
    )


def _step(run: Collaborators) -> None:
    """Change the weights, unless a gradient of ``fp16`` overflowed; then the scale of the loss falls instead."""
    run.scaler.step(run.optimiser)
    run.scaler.update()
    with warnings.catch_warnings():
        # It misses the call of an optimiser whose first step was passed over.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        run.scheduler.step()


def _clipped(optimiser: torch.optim.Optimizer, clip_norm: float | None) -> torch.Tensor:
    """Return the L2 norm of the gradient, 0-d, and clip the gradient where that is asked."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    if clip_norm:
        return nn.utils.clip_grad_norm_(parameters, clip_norm)
    return nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])


def _needs_numbers(progress: Progress, train: TrainConfig) -> bool:
    """Whether something follows the step that needs its numbers: a line of metrics, validation, a checkpoint."""
    marks = (train.log_every, train.save_every, train.evaluate_every)
    return any(every is not None and is_due(progress, every, train) for every in marks)


def _validated(
    run: Collaborators,
    train: TrainConfig,
    progress: Progress,
    signals: Signals,
    display: Display,
    values: dict[str, float],
) -> tuple[Progress, StoppedBy | None]:
    """Validate, log, and add the losses to ``values``; return the progress, and the signal that ended it early."""
    if run.validation is None:
        return replace(progress, owes_evaluation=False), None
    share_statistics(run, train)
    run.writer.settle()
    with _averaged(run, train):
        losses = evaluate(run, *run.validation, train.timeout_s, signals)
    _train_mode(run.objective, train)
    if isinstance(losses, str):
        return replace(progress, owes_evaluation=True), losses
    run.tracker.log(progress.step, losses)
    values.update(losses)
    display.say(f"step {progress.step}: validation loss {losses['val_loss']:.4g}")
    return progress.after_evaluation(losses["val_loss"]), None


def evaluate(
    run: Collaborators, source: Source, steps: int, timeout_s: float, signals: Signals
) -> dict[str, float] | StoppedBy:
    """Return ``val_loss`` and the other means over one pass through the validation part.

    Or, if some rank was sent a signal, that signal: all ranks then leave the pass before the same batch.
    """
    meter = LossMeter()
    run.objective.eval()
    with torch.no_grad(), closing(_iterator(source, 0, steps)) as batches:
        run.ranks.at("the first batch of validation")
        for batch in batches:
            told = _told(run.ranks, signals)
            if told is not None:
                return told
            with run.ranks.autocast():
                meter.add(run.objective(batch, run.ranks.gather_rows))
            run.ranks.at("validation", timeout_s, _TIMEOUT)
    return {f"val_{name}": value for name, value in meter.read(run.ranks).items()}


def _told(ranks: Ranks, signals: Signals) -> StoppedBy | None:
    """Return the signal that any rank was sent; all ranks get the same answer."""
    flags = torch.tensor([float(signals.received == name) for name in ("SIGTERM", "SIGINT")])
    terminated, interrupted = ranks.sum(flags).tolist()
    return "SIGTERM" if terminated else "SIGINT" if interrupted else None


def consumed_rows(batch: Batch) -> StepRows:
    """Return what ``batch`` really holds, for the audit: not what the plan says it should hold."""
    bags, tiles, weights = batch.rows_on_host()
    return StepRows(step=batch.step, epoch=batch.epoch, bags=bags.numpy(), tiles=tiles.numpy(), weights=weights.numpy())


def _log(
    run: Collaborators, meter: LossMeter, interval: Clock, rate: float, gradient_norm: float, step: int
) -> dict[str, float]:
    values = meter.read(run.ranks)
    speed = interval.read(run.ranks)
    if speed:
        values |= speed.values()
    values |= {"lr": rate, "grad_norm": gradient_norm}
    if run.scaler.is_enabled():
        values["loss_scale"] = run.scaler.get_scale()
    run.tracker.log(step, values)
    return values


def _averaged(run: Collaborators, train: TrainConfig) -> AbstractContextManager[None]:
    """Return the context in which validation sees the average of the weights, where the run asks for that."""
    wanted = run.average is not None and train.ema is not None and train.ema.validation
    return run.average.in_place() if wanted and run.average else nullcontext()


def _train_mode(objective: Objective, train: TrainConfig) -> None:
    objective.train()
    if train.batch_norm == "frozen":
        for module in objective.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


def _iterator(source: Source, start: int, stop: int) -> Any:
    """The batches as something ``closing`` can close, whatever kind of iterator a source returns."""
    yield from source.batches(start, stop)
