"""What curves are shown beside: the config of a run, of which data and which code it is. And a run shown again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framework.run.train.config import RunConfig
from framework.run.train.folder import ObjectiveFacts, RunFolder
from framework.tracking import ReplaySummary, TrackingConfig, replay_run, versions


def settings_of_run(config: RunConfig, facts: ObjectiveFacts, world_size: int, commit: str | None) -> dict[str, Any]:
    """Return the config, and beside it ``lineage``: digest of the dataset, git commit, versions.

    Args:
        config: resolved.
        facts: what the objective measured, and of which dataset.
        world_size: ranks.
        commit: commit of the folder that training was started in; None outside of a repository, or where it is not
            known.
    """
    lineage = {
        "dataset": facts.dataset,
        "dataset_digest": facts.dataset_digest,
        "weights_of_embeddings": facts.weights_of_embeddings,
        "builds_on": config.objective.builds_on,
        "git_commit": commit,
        "versions": versions(),
    }
    return {**config.plain(), "world_size": world_size, "lineage": lineage}


def track(run_dir: Path | str, out: Path | str, tracking: TrackingConfig) -> ReplaySummary:
    """Send curves, tables and figures of a run folder to the places of ``tracking``, as a fresh run.

    Args:
        run_dir: the run folder.
        out: folder for the files of the fresh run.
        tracking: where to; ``name`` defaults to the name of the run folder.

    Raises:
        RunError: no run folder, no place, or one that is not installed.
    """
    folder = RunFolder(root=Path(run_dir))
    config = folder.config()
    settings = settings_of_run(config, folder.objective_facts(), folder.world_size(), None)
    return replay_run(folder.root, out, tracking, settings)
