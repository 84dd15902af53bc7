"""When a run is checkpointed, and in which order: the audit first, then the checkpoint that names its heads."""

from __future__ import annotations

from framework import checkpoint
from framework.distributed import share_running_statistics
from framework.tracking import heads_to_plain
from framework.trainer.collaborators import Collaborators
from framework.trainer.config import TrainConfig
from framework.trainer.progress import Progress
from framework.trainer.stop import StoppedBy


def save_if_due(run: Collaborators, progress: Progress, train: TrainConfig, stopped_by: StoppedBy | None) -> None:
    """Checkpoint ``progress`` where the config, a best validation loss, a signal or the end ask for it."""
    is_best = train.patience is not None and progress.best_step == progress.step
    if is_due(progress, train.save_every, train) or is_best or stopped_by or is_over(progress, train):
        save(run, progress, train, is_best)


def save(run: Collaborators, progress: Progress, train: TrainConfig, is_best: bool) -> None:
    """Begin to write a checkpoint of ``progress``, whose files follow every rank's audit records to the disk.

    Raises:
        CheckpointError: the checkpoint before could not be written.
    """
    run.ranks.at(f"saving the checkpoint of step {progress.step}")
    share_statistics(run, train)
    if not run.ranks.is_main:
        run.audit.sync()
    # No rank gets the heads before all others have synced; this one syncs before it publishes.
    heads = run.audit.heads(run.ranks.gather_objects(run.audit.head))
    if not run.ranks.is_main:
        return

    def sync() -> None:
        run.audit.sync()
        run.tracker.sync()

    contents = checkpoint.contents_of(
        step=progress.step,
        objective=run.objective,
        optimiser=run.optimiser,
        scheduler=run.scheduler,
        state={**run.facts, "progress": progress.plain(), "audit": heads_to_plain(heads)},
        average=run.average.tensors() if run.average else None,
        scaler=run.scaler.state_dict(),
    )
    run.writer.save(run.checkpoints, contents, keep=train.keep, is_best=is_best, before=sync)


def share_statistics(run: Collaborators, train: TrainConfig) -> None:
    """Give all ranks the same running statistics, where each normalises by its own rows; a collective."""
    if train.batch_norm == "local":
        with run.ranks.meeting("running statistics"):
            share_running_statistics(run.objective, run.ranks, train.running_statistics)


def is_over(progress: Progress, train: TrainConfig) -> bool:
    """Whether there is no step left to make."""
    return progress.step >= train.steps_in_all or (train.patience is not None and progress.stale >= train.patience)


def is_due(progress: Progress, every: int, train: TrainConfig) -> bool:
    """Whether something that happens every so many steps, and at the end, happens now."""
    return progress.step % every == 0 or progress.step == train.steps_in_all
