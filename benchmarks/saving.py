"""What a checkpoint after every step costs, beside training and on its thread; part of theme ``training``.

Steps are made on batches that lie in memory, with one core fewer than there are, which is left to the thread that
writes. Each repetition begins with a checkpoint on its way and ends with one, as any stretch of a long run does.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import torch

from benchmarks.harness import Arm, Finding, Measured, Target, measure
from benchmarks.steps import Setting, Trainer
from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.distributed import Ranks

MOST_COST = 1.1
NONE, BESIDE, ON_THREAD = "no checkpoints", "one after every step", "one after every step, on the training thread"


def measured(dataset: Dataset, setting: Setting, device: str, folder: Path, repetitions: int) -> Measured:
    """Train with and without a checkpoint after every step."""
    before, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
    torch.set_num_threads(max(1, cores - 1))
    saved_s: dict[str, list[float]] = {BESIDE: [], ON_THREAD: []}
    steps = 4
    with ExitStack() as held:
        held.callback(torch.set_num_threads, before)

        def arm(name: str) -> Arm:
            trainer = Trainer(dataset, setting, Ranks.solo(device), folder / str(len(name)))
            held.callback(trainer.close)
            with ExitStack() as loading:
                made = trainer.loader.batches(0, steps)
                loading.callback(made.close)  # type: ignore[attr-defined]
                batches = list(islice(made, steps))
            work = partial(_work, trainer, batches, name, saved_s)
            return Arm(name=name, work=work, before=partial(work, 1), is_limit=name == NONE)

        costs = measure([arm(name) for name in (NONE, BESIDE, ON_THREAD)], repetitions)
    findings = [
        Finding(name=f"training thread per checkpoint: {name}", value=median(each), unit="s")
        for name, each in saved_s.items()
    ]
    return Measured(
        theme="training",
        case=f"checkpoints, ResNet-18 of width {setting.width}, {setting.bags} bags of {setting.tiles} tiles, {device}",
        unit="tiles",
        items=setting.batch * steps,
        costs=costs,
        limit=NONE,
        targets=(Target(arm=BESIDE, over=NONE, least=1 / MOST_COST),),
        findings=tuple(findings),
        notes=(f"{cores} cores, of which training computes on {max(1, cores - 1)}",),
    )


def _work(trainer: Trainer, batches: list[Batch], name: str, saved_s: dict[str, list[float]], steps: int = 0) -> None:
    """Make ``steps`` steps, 0 for all; those before a repetition, which are fewer, are not noted."""
    for batch in islice(batches, steps or None):
        trainer.step(batch)
        if name == NONE:
            continue
        trainer.finish()
        began = time.perf_counter()
        trainer.save(wait=name == ON_THREAD)
        if not steps:
            saved_s[name].append(time.perf_counter() - began)
    trainer.finish()
