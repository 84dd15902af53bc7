"""Before training: rank 0 finds where to go on, or measures the training part and writes the run folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from framework import checkpoint
from framework.checkpoint import Checkpoint
from framework.data import split
from framework.data.dataset import Dataset
from framework.data.format.schema import MANIFEST_NAME
from framework.data.remote.download import is_url
from framework.data.scales import ScaleProfile
from framework.data.store import TileStore, dataset_digest
from framework.distributed import Ranks
from framework.errors import CheckpointError, DatasetError, RunError, WellstreamError
from framework.files.failures import Mistakes
from framework.objectives import OBJECTIVES
from framework.run.train.agreement import need_same_data
from framework.run.train.config import DataConfig, RunConfig
from framework.run.train.folder import Measured, ObjectiveFacts, RunFolder, plain_profile
from framework.run.train.identity import facts_of_run, need_facts_of, need_same_run
from framework.run.train.pretrained import Foundation, foundation_to_train_on
from framework.tracking import next_attempt
from framework.tracking.audit import Header

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where an attempt begins.

    Attributes:
        attempt: its number.
        checkpoint: what it resumes from; None for a fresh start.
        step: completed steps of that checkpoint.
        parent: attempt of this run that wrote it; None for a fresh start or a checkpoint of another run.
    """

    attempt: int
    checkpoint: Path | None
    step: int
    parent: int | None

    def header(self, world: int) -> Header:
        """Return the header of this attempt's audit."""
        return Header(start=self.step, parent=self.parent, world=world)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What this rank trains from.

    Attributes:
        start: where the attempt begins.
        dataset: the data, opened.
        measured: on the training part.
        base: what the run builds on, where its weights are still to be taken over.
        identity: what makes the run this run, for its checkpoints.
        found: the checkpoint of ``start`` where this rank has read it already.
    """

    start: Start
    dataset: Dataset
    measured: Measured
    base: Foundation | None
    identity: dict[str, Any]
    found: Checkpoint | None = None


def prepare(config: RunConfig, folder: RunFolder, resume: str, ranks: Ranks) -> Prepared:
    """Let rank 0 make or check the run folder, then open on every rank what training needs of it.

    Args:
        config: resolved.
        folder: folder of the run.
        resume: ``auto``, ``none``, or a checkpoint or run folder.
        ranks: the processes.

    Raises:
        RunError: the folder holds another run, or other data.
        CheckpointError: every checkpoint is damaged, or the one asked for is.
    """
    # Each is opened once per process: on rank 0 when it is first asked for, elsewhere after rank 0 had no complaint.
    opened = cache(lambda: open_dataset(config.data))
    base = cache(lambda: foundation_to_train_on(config))
    read: list[Checkpoint] = []
    start = ranks.on_main(lambda: _begin(config, folder, resume, opened, base, read))
    if ranks.world_size > 1:
        need_same_data(opened(), ranks)
    return Prepared(
        start=start,
        dataset=opened(),
        measured=folder.measured(config, opened().bags),
        base=base() if start.checkpoint is None else None,
        identity=facts_of_run(folder, config),
        found=read[0] if read else None,
    )


def open_dataset(data: DataConfig) -> Dataset:
    """Open the dataset that a config names.

    Raises:
        DatasetError: as ``Dataset.open``; where there is no dataset, the sentence begins with the key.
    """
    try:
        return Dataset.open(data.path, data.cache)
    except DatasetError as error:
        if is_url(data.path) or (Path(data.path) / MANIFEST_NAME).exists():
            raise
        raise DatasetError(f"data.path: {error}") from None


def _begin(
    config: RunConfig,
    folder: RunFolder,
    resume: str,
    opened: Callable[[], Dataset],
    base: Callable[[], Foundation | None],
    read: list[Checkpoint],
) -> Start:
    """Make or check the run folder and say where this attempt begins; ``read`` gets its checkpoint."""
    begun = folder.is_begun
    if resume == "none" and begun:
        raise RunError(
            f"{folder.root} already holds a run and --resume none starts a new one: choose another run_dir, remove "
            "that folder, or continue it with --resume auto"
        )
    if (folder.root / MANIFEST_NAME).exists():
        raise RunError(f"{folder.root}: is a dataset folder, but a run needs its own folder; choose another run_dir")
    dataset = opened()
    if begun:
        need_same_run(folder, config)
        _need_same_data(folder, dataset)
    start = _find(folder, config, resume, read)
    if not begun:
        folder.write(config, measured_on(config, dataset, base()), dataset.bags)
    folder.write_config(config)
    return start


def _find(folder: RunFolder, config: RunConfig, resume: str, read: list[Checkpoint]) -> Start:
    # The audit may be gone; an attempt whose number is not above those of all checkpoints would count as older.
    attempt = max(next_attempt(folder.root), 1 + checkpoint.newest_attempt(folder.checkpoints))
    if resume in ("auto", "none"):
        path = checkpoint.newest_valid(folder.checkpoints)
        if path is None and folder.is_begun:
            raise CheckpointError(
                f"{folder.checkpoints}: every checkpoint is damaged; to start anew, remove the folder {folder.root}"
            )
    else:
        path = _asked_for(Path(resume).expanduser().absolute())
    if path is None:
        return Start(attempt=attempt, checkpoint=None, step=0, parent=None)
    # The newest valid one is valid because every byte of it was looked at.
    found = checkpoint.load(path, checked=resume in ("auto", "none"))
    read.append(found)
    own = path.parent.resolve() == folder.checkpoints.resolve()
    parent = found.fact("attempt", int) if own else None
    if own:
        need_facts_of(path, found.state, folder, config)
    log.info("resuming from %s", path)
    return Start(attempt=attempt, checkpoint=path, step=found.step, parent=parent)


def _asked_for(path: Path) -> Path:
    if (path / "config.yaml").is_file():
        return RunFolder(root=path).chosen_checkpoint()
    return path


def _need_same_data(folder: RunFolder, dataset: Dataset) -> None:
    stored, found = folder.objective_facts(), dataset_digest(dataset)
    if stored.dataset_digest != found:
        raise RunError(
            f"{folder.root} was trained on the dataset '{stored.dataset}' ({stored.dataset_digest[:12]}), but "
            f"data.path is now '{dataset.manifest.name}' ({found[:12]}); choose another run_dir, or set "
            "data.path back"
        )


def measured_on(config: RunConfig, dataset: Dataset, base: Foundation | None) -> Measured:
    """Return split, scaling and the objective's profile; all are pure functions of config and data.

    Raises:
        RunError: data, split and objective do not fit together.
    """
    parts = _split_with_known_names(config, dataset)
    train = split.bags_in(parts, "train")
    if not len(train):
        raise RunError("the split leaves no bag for the part 'train'; see the section split")
    scale = scale_of(config, dataset, train, base)
    entry = OBJECTIVES.get(config.objective.name)
    profile = entry.build.measure(config.objective, dataset, scale.channels, train, base.backbone if base else None)
    facts = ObjectiveFacts(
        objective=entry.name,
        dataset=dataset.manifest.name,
        dataset_digest=dataset_digest(dataset),
        weights_of_embeddings=base.weights if base and config.data.embeddings else None,
        profile=plain_profile(profile),
    )
    return Measured(parts=parts, scale=scale, facts=facts, profile=profile)


def _split_with_known_names(config: RunConfig, dataset: Dataset) -> split.Parts:
    """Return the part of every bag.

    Raises:
        WellstreamError: what split, channels, plan and objective name, and the dataset lacks, all of it at once.
    """
    mistakes = Mistakes(WellstreamError)
    parts: list[split.Parts] = []
    with mistakes.kept():
        dataset.channel_indices(config.data.channels or ())
    with mistakes.kept():
        parts.append(split.assign(dataset.bags, config.split))
    with mistakes.kept():
        split.need_columns(dataset.bags, "plan.by", config.plan.grouped_by)
    with mistakes.kept():
        OBJECTIVES.get(config.objective.name).build.need_names(config.objective, dataset)
    mistakes.say()
    return parts[0]


def scale_of(
    config: RunConfig, dataset: Dataset, train: np.ndarray[tuple[int], np.dtype[np.int64]], base: Foundation | None
) -> ScaleProfile:
    """Fit the scaling on the training tiles (n,), or take over that of the run this one builds on."""
    asked_scale, channels = config.data.scale, config.data.channels
    name = None if asked_scale is None else asked_scale.name
    if base is not None:
        for key, asked, theirs in (("scale", name, base.scale.name), ("channels", channels, base.scale.channels)):
            if asked is not None and asked != theirs:
                raise RunError(
                    f"data.{key}: expected {_shown(theirs)}, the value of the pretrained run, found "
                    f"{_shown(asked)}; leave this key out"
                )
        if config.data.floor:
            raise RunError(
                "data.floor: the scaling of the pretrained run is used, including its floor; leave this key out"
            )
        # An unknown channel is better met here than in the first batch.
        dataset.channel_indices(base.scale.channels)
        return base.scale
    store = TileStore(dataset, channels)
    inside = np.isin(dataset.index.bag, train)
    tiles, seed = np.flatnonzero(inside), config.train.seed
    return ScaleProfile.fit(asked_scale or "per_tile_standardise", store, tiles, seed, config.data.floor)


def _shown(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
