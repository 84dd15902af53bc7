"""A rehearsal of training: a few steps that leave nothing behind, their time and memory, and what would need less.

Memory of a GPU is what torch had allocated at most. Memory of a CPU is the most that this process ever had while the
steps were made, libraries included, as the system counts it.
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.plan import Plan
from framework.distributed import Ranks
from framework.format import duration
from framework.result import LINES, Result
from framework.run.train.build import Built, build
from framework.run.train.config import RunConfig
from framework.run.train.folder import RunFolder
from framework.run.train.header import device_of, header, parameters_of, tiles_per_step
from framework.run.train.prepare import Prepared, Start, measured_on, open_dataset
from framework.run.train.pretrained import foundation_to_train_on
from framework.tracking import TrackingConfig
from framework.trainer import Signals, TrainConfig, train_step
from framework.trainer.step_numbers import StepFacts

STEPS = 3
"""The first fills caches and may compile; the others are timed."""
_PATIENCE_S = 20.0
"""Lighter forms are measured where a step takes less."""
_GB = 1e9


@dataclass(frozen=True, kw_only=True, repr=False)
class Rehearsal(Result):
    """What a few steps took.

    Attributes:
        training: what would be trained, in sentences.
        parameters: numbers that train.
        tiles_per_step: tiles per step of all processes.
        first_step_s, step_s: seconds of the first step, and of a later one.
        estimate: estimate of all steps, without validation and checkpoints.
        memory: the most that was used.
        lighter: what would take memory down, each measured.
    """

    training: tuple[str, ...]
    parameters: int
    tiles_per_step: int
    first_step_s: float
    step_s: float
    estimate: str
    memory: str
    lighter: tuple[str, ...] = field(metadata=LINES)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What was measured; the network itself is gone, so that it is not counted again with the next one."""

    plan: Plan
    train: TrainConfig
    parameters: int
    lines: list[str]
    first_s: float
    later_s: float
    bytes: int


def rehearse(config: RunConfig) -> Rehearsal:
    """Make a few steps of a run on this process alone and measure them; nothing is written to ``run_dir``.

    Args:
        config: config of the run.

    Raises:
        WellstreamError: whatever training would refuse.
    """
    settings = config.resolved().model_copy(update={"tracking": TrackingConfig(wandb="disabled")})
    train = settings.train
    ranks = Ranks.open(train.device, train.precision, deterministic=train.deterministic)
    try:
        dataset = open_dataset(settings.data)
        found = _measure(settings, dataset, ranks)
        lighter = tuple(_compared(settings, dataset, ranks, found))
        where = device_of(ranks)
    finally:
        ranks.close()
    steps = found.train.steps_in_all
    return Rehearsal(
        training=tuple(found.lines),
        parameters=found.parameters,
        tiles_per_step=tiles_per_step(found.plan),
        first_step_s=found.first_s,
        step_s=found.later_s,
        estimate=f"{duration(found.first_s + (steps - 1) * found.later_s)} for {steps} steps on {where}, without "
        "validation and checkpoints",
        memory=f"{found.bytes / _GB:.2f} GB{'' if ranks.device.type == 'cuda' else ' with the libraries'}",
        lighter=lighter,
    )


@contextmanager
def in_passing(config: RunConfig, dataset: Dataset, ranks: Ranks) -> Iterator[tuple[Prepared, Built]]:
    """Give what training begins with, in a folder that is removed at the end.

    Args:
        config: resolved.
        dataset: the one that it names, opened.
        ranks: this process alone.

    Raises:
        WellstreamError: whatever training would refuse.
    """
    with tempfile.TemporaryDirectory(prefix="wellstream-rehearsal-") as place:
        base = foundation_to_train_on(config)
        prepared = Prepared(
            start=Start(attempt=0, checkpoint=None, step=0, parent=None),
            dataset=dataset,
            measured=measured_on(config, dataset, base),
            base=base,
            identity={},
        )
        built = build(config, RunFolder(root=Path(place)), prepared, ranks)
        try:
            yield prepared, built
        finally:
            built.collaborators.audit.close()
            built.collaborators.tracker.close(0)


def _measure(config: RunConfig, dataset: Dataset, ranks: Ranks) -> _Measured:
    _forget_peak(ranks.device)
    with in_passing(config, dataset, ranks) as (prepared, built):
        seconds = _seconds(config, built)
        later = seconds[1:] or seconds
        lines = header(config, prepared, built, ranks)
        peak = _peak(ranks.device)
    return _Measured(
        plan=built.plan,
        train=built.train,
        parameters=parameters_of(built.collaborators.objective)[1],
        lines=lines,
        first_s=seconds[0],
        later_s=sum(later) / len(later),
        bytes=peak,
    )


def first_steps(config: RunConfig, built: Built, count: int) -> Iterator[tuple[Batch, Callable[[], StepFacts]]]:
    """Yield the first batches of a training, each with the call that makes its step.

    Args:
        config: config of the run.
        built: what training begins with; its weights change as the steps are made.
        count: steps.
    """
    run = built.collaborators
    model = run.ranks.wrap(run.objective)
    run.objective.train()
    with closing(_iterator(run.loader.batches(0, count))) as batches:
        for batch in batches:
            yield batch, partial(train_step, run, model, batch, built.train, config.optim, Signals())


def _seconds(config: RunConfig, built: Built) -> list[float]:
    """Return what each step took, the wait for its batch included."""
    taken, began = [], time.perf_counter()
    for _, step in first_steps(config, built, min(STEPS, built.train.steps_in_all)):
        step().read()
        now = time.perf_counter()
        taken.append(now - began)
        began = now
    return taken


def _iterator(batches: Iterator[Batch]) -> Any:
    """The batches as something that can be closed."""
    yield from batches


def _compared(config: RunConfig, dataset: Dataset, ranks: Ranks, found: _Measured) -> Iterator[str]:
    """Yield a sentence about each lighter form of a run."""
    for key, value in _lighter(config, found, ranks.device):
        section, _, name = key.partition(".")
        plain = config.plain()
        plain[section] = {**plain[section], name: value}
        if found.later_s > _PATIENCE_S:
            yield f"{key}={value}: not measured, a step takes long"
            continue
        changed = RunConfig.from_plain(plain)
        there = Ranks(**{**vars(ranks), "precision": changed.train.precision})
        other = _measure(changed, dataset, there)
        no_less = "" if other.bytes < found.bytes else ", which is not less"
        yield f"{key}={value}: {other.bytes / _GB:.2f} GB{no_less}, {other.later_s:.3g} s per step"


def _lighter(config: RunConfig, found: _Measured, device: torch.device) -> Iterator[tuple[str, Any]]:
    """Yield keys and values that take memory down."""
    rows = found.plan.rows
    tiles = rows * found.plan.tiles_per_row
    options = type(config.objective).model_fields
    if "gradient_cache" in options and not config.objective.splits_rows and config.train.batch_norm != "sync":
        yield "objective.gradient_cache", max(1, tiles // 8)
    elif rows >= 2 * config.train.accumulate and not config.objective.couples_rows:
        yield "train.accumulate", 2 * config.train.accumulate
    for name in ("tiles", "pairs"):
        asked = getattr(config.plan, name, None)
        if isinstance(asked, int) and asked > 1:
            yield f"plan.{name}", asked // 2
    if device.type == "cuda" and config.train.precision == "fp32":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        yield "train.precision", "bf16" if fast else "fp16"


def _forget_peak(device: torch.device) -> None:
    gc.collect()  # what trained before hangs in a cycle of references, with its weights
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # a system that keeps no such count, or lets nobody reset it
        Path("/proc/self/clear_refs").write_text("5")


def _peak(device: torch.device) -> int:
    """Return the most bytes that were used since the peak was forgotten; where it cannot be, since the beginning."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
