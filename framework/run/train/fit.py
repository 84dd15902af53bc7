"""``fit``: one call from a config to a trained run folder; the same call again continues it."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from framework import trainer
from framework.distributed import Ranks
from framework.durable import write_json
from framework.errors import ConfigError, RunError
from framework.files.json_file import read_mapping
from framework.run.train.agreement import need_same_config, need_shared_folder
from framework.run.train.build import build
from framework.run.train.config import RunConfig
from framework.run.train.folder import RunFolder
from framework.run.train.header import header
from framework.run.train.prepare import Start, prepare
from framework.terminal import Terminal
from framework.tracking import versions
from framework.trainer import Outcome, Stopped

log = logging.getLogger(__name__)


def fit(config: RunConfig, resume: str = "auto", ranks: Ranks | None = None) -> Path:
    """Train; under torchrun, every rank calls this.

    Args:
        config: what to train.
        resume: ``auto`` continues ``run_dir`` from its newest valid checkpoint, if it has one; ``none`` insists on a
            new run; a path names a checkpoint (or a run) to go on from. Another number of ranks than before is fine;
            bit for bit the same weights need the same number.
        ranks: processes that are joined already and stay so, for several runs in a row (a process group cannot be
            joined twice under one torchrun); None joins those of the environment, on the device of the config, and
            leaves them at the end.

    Returns:
        The run folder.

    Raises:
        WellstreamError: what is wrong, in a sentence.
        Stopped: SIGTERM or Ctrl-C; the run is checkpointed and can be continued.
    """
    if not resume.strip():
        raise ConfigError("resume: expected auto, none or the path of a checkpoint, found nothing")
    settings = config.resolved()
    if ranks is not None:
        return _fit(settings, resume, ranks)
    train = settings.train
    joined = Ranks.open(
        train.device, train.precision, step_timeout_s=train.timeout_s, deterministic=train.deterministic
    )
    with joined.leaving(Stopped):
        return _fit(settings, resume, joined)


def _fit(config: RunConfig, resume: str, ranks: Ranks) -> Path:
    folder = RunFolder(root=Path(config.run_dir))
    with ExitStack() as held:
        ranks.at("preparing the run")
        if ranks.world_size > 1:
            need_same_config(config, ranks)
        held.callback(ranks.rest)
        # Rank 0 is the writer; what it raises here reaches the other ranks too.
        ranks.on_main(lambda: held.enter_context(folder.sole_writer()))
        if ranks.world_size > 1:
            need_shared_folder(folder.root, ranks)
        return _fit_alone(config, folder, resume, ranks)


def _fit_alone(config: RunConfig, folder: RunFolder, resume: str, ranks: Ranks) -> Path:
    prepared = prepare(config, folder, resume, ranks)
    built = build(config, folder, prepared, ranks)
    collaborators, code = built.collaborators, 1
    if ranks.is_main:
        for line in header(config, prepared, built, ranks):
            Terminal(stderr=True).print(line)
    try:
        outcome = trainer.fit(collaborators, built.train, config.optim, built.progress)
        code = 0
    finally:
        try:
            collaborators.audit.close()
        finally:
            collaborators.tracker.close(code)
    ranks.at("writing the summary")
    if ranks.is_main:
        write_summary(folder, prepared.start, ranks, outcome)
    ranks.barrier()
    if outcome.ended_by in ("SIGTERM", "SIGINT"):
        raise Stopped(outcome.progress.step, outcome.ended_by)
    return folder.root


def write_summary(folder: RunFolder, start: Start, ranks: Ranks, outcome: Outcome) -> None:
    """Write ``summary.json``: how the run ended, how fast it was, and which checkpoint to use."""
    before = _former(folder)
    progress, speed = outcome.progress, outcome.speed
    again = start.step == progress.step
    facts: dict[str, Any] = {
        "status": "finished" if outcome.ended_by in ("steps", "patience") else "stopped",
        "ended_by": outcome.ended_by,
        "steps": progress.step,
        "attempt": start.attempt,
        "world_size": ranks.world_size,
        "device": str(ranks.device),
        "seconds": round(outcome.seconds + float(before.get("seconds", 0.0)), 3),
        "checkpoint": folder.chosen_checkpoint().name,
        "best_step": progress.best_step,
        "best_val_loss": _finite(progress.best_loss),
        "tiles_per_s": speed.tiles_per_s if speed else None,
        "wait_share": speed.wait_share if speed else None,
        "wait_rank": speed.wait_rank if speed else None,
        "versions": versions(),
        **{name: _finite(value) for name, value in outcome.values.items() if name not in ("tiles_per_s", "wait_share")},
    }
    if again and before:
        # Nothing was left to do: what the working attempt measured stays.
        facts = {**facts, **before}
    write_json(folder.summary_file, facts)


def _former(folder: RunFolder) -> dict[str, Any]:
    """What an earlier attempt wrote; a damaged summary is written anew."""
    try:
        found = read_mapping(folder.summary_file, error=RunError)
    except RunError:
        return {}
    return found if isinstance(found.get("seconds", 0.0), int | float) else {}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
