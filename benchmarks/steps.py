"""The training step as a run makes it, on batches that are given: what themes ``training`` and ``growth`` time.

Objective, optimiser and step are those of the framework (``triplet_mil`` on ResNet-18, balanced bags, flips and
turns), with the loader and the record of what was consumed, without logging and checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from framework.data.augmentations import SymmetriesConfig
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.data.loading.loader import Loader
from framework.data.plan import BalancedBagsConfig, PlanUniverse, build_plan, digest_rows
from framework.data.scales import ScaleProfile
from framework.data.store import TileStore
from framework.distributed import Ranks
from framework.models import NetworkOptions, ResNet18Config, VitConfig
from framework.objectives import TripletMIL, TripletMILConfig
from framework.objectives.triplet_mil import TripletMILProfile
from framework.tracking import AuditLog, Tracker, TrackingConfig
from framework.tracking.audit import Header
from framework.trainer import AdamWConfig, Collaborators, Progress, TrainConfig, build_optimiser, build_scheduler
from framework.trainer.loop import consumed_rows, train_step
from framework.trainer.saving import save
from framework.trainer.step_numbers import Unread
from framework.trainer.stop import Signals

WELLS = 2
"""Bags of each condition in a batch, and in the dataset."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained, and how.

    Attributes:
        bags: K of the global batch, a multiple of ``WELLS``.
        tiles: N.
        width: channels of the first block of ResNet-18; 64 is the real one. Numbers per patch of the transformer; 384
            is ViT-S.
        network: ResNet-18, or a transformer of 12 blocks with patches of 16 px.
        fast: channels_last and bf16 autocast.
        compiled: torch.compile.
    """

    bags: int
    tiles: int
    width: int = 64
    network: Literal["resnet18", "vit"] = "resnet18"
    fast: bool = False
    compiled: bool = False

    @property
    def batch(self) -> int:
        """Tiles of a global batch."""
        return self.bags * self.tiles

    @property
    def backbone(self) -> NetworkOptions:
        """Options of the network."""
        if self.network == "vit":
            return VitConfig(width=self.width, heads=max(1, self.width // 64), dense=(128,))
        return ResNet18Config(width=self.width, dense=(128,))


class Trainer:
    """A model and its optimiser on one rank.

    Args:
        dataset: where batches come from.
        setting: what is trained.
        ranks: this process and the others; their precision is that of the forward pass.
        folder: for the record of what was consumed.
    """

    def __init__(self, dataset: Dataset, setting: Setting, ranks: Ranks, folder: Path) -> None:
        torch.manual_seed(0)
        self._dataset, self._setting, self.ranks = dataset, setting, ranks
        channels = dataset.manifest.tile.channels
        config = TripletMILConfig(backbone=setting.backbone)
        self.objective = objective = TripletMIL(config, TripletMILProfile(channels=channels, by=config.by, classes=()))
        objective.to(ranks.device)
        if setting.fast:
            objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if setting.compiled:
            objective.compile()
        self._optim, self._train = AdamWConfig(), TrainConfig(steps=10**9)
        self.optimiser = optimiser = build_optimiser(objective, self._optim)
        self.loader = self.new_loader()
        self._run = Collaborators(
            ranks=ranks,
            loader=self.loader,
            validation=None,
            objective=objective,
            optimiser=optimiser,
            scheduler=build_scheduler(optimiser, self._optim, self._train.steps_in_all),
            checkpoints=folder / "checkpoints",
            tracker=Tracker.open(folder, TrackingConfig(wandb="disabled"), ranks.is_main),
            audit=AuditLog(folder, rank=ranks.rank, attempt=0, header=Header(start=0, parent=None, world=1)),
            facts={},
        )
        self._model, self._signals, self._done = ranks.wrap(objective), Signals(), 0
        self._unread = Unread()

    def new_loader(self) -> Loader:
        """Return a loader of this rank's batches, over shards opened anew."""
        store = TileStore(self._dataset)
        n_bags = len(self._dataset.index.bag_start) - 1
        condition = np.arange(n_bags, dtype=np.int64) // WELLS
        universe = PlanUniverse(
            bags=np.arange(n_bags, dtype=np.int64), bag_start=self._dataset.index.bag_start, group=condition
        )
        plan = BalancedBagsConfig(
            by=("condition",), conditions=self._setting.bags // WELLS, bags=WELLS, tiles=self._setting.tiles
        )
        return Loader(
            store,
            build_plan(plan, universe, seed=0),
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
            device=self.ranks.device,
            scale=ScaleProfile.fit("plate_standardise", store, np.arange(len(store))),
            augment=(SymmetriesConfig(flip=True, rotate90=True),),
            labels={"condition": LabelTable(per="bag", values=torch.from_numpy(condition))},
            channels_last=self._setting.fast,
        )

    def step(self, batch: Batch) -> None:
        """Train on one batch, and note what it held."""
        facts = train_step(self._run, self._model, batch, self._train, self._optim, self._signals)
        self._unread.after(facts, settle=False)
        rows = consumed_rows(batch)
        self._run.audit.append(batch.step, int((rows.weights > 0).sum()), digest_rows(rows))

    def run(self, batches: Iterable[Batch]) -> None:
        """Train on all; ends when the device has finished."""
        for batch in batches:
            self.step(batch)
        self.finish()

    def finish(self) -> None:
        """Wait until the device has done what was queued."""
        if self.ranks.device.type == "cuda":
            torch.cuda.synchronize(self.ranks.device)

    def save(self, *, wait: bool) -> None:
        """Checkpoint as a run does after each step, and wait until it is on the disk where that is asked."""
        self._done += 1
        save(self._run, Progress(step=self._done), self._train, is_best=False)
        if wait:
            self._run.writer.wait()

    def close(self) -> None:
        """Close the records."""
        self._run.writer.wait()
        self._run.audit.close()
        self._run.tracker.close(0)


class Feed:
    """The middle of a long training from disk, again and again.

    A loader that rested has batches ready, and its first step gives no time to prepare the next ones. ``warm`` opens
    it anew and trains until what was ready at the start is used up; ``run`` is then like any stretch of a long run, in
    which as many batches are prepared as are used.
    """

    def __init__(self, trainer: Trainer, steps: int, ahead: int = 2) -> None:
        self.trainer, self._steps, self._ahead = trainer, steps, ahead
        self._held = ExitStack()
        self._batches: Iterator[Batch] = iter(())
        self._began: list[torch.cuda.Event] = []
        self._ready: list[torch.cuda.Event] = []
        self.last: Batch | None = None
        """The last batch of a ``run``."""
        self.waited_s: list[float] = []
        """Seconds a ``run`` waited for data."""
        self.device_s: list[float] = []
        """Seconds a ``run`` until batches were ready on the GPU, from the end of the step before; empty on the CPU."""

    @property
    def steps(self) -> range:
        """Numbers of the steps that ``run`` makes."""
        return range(self._ahead + 1, self._ahead + 1 + self._steps)

    def warm(self) -> None:
        """Bring the loader into its steady state."""
        self.close()
        self._batches = self.trainer.loader.batches(0, self.steps.stop + self._ahead)
        self.trainer.run(islice(self._batches, self._ahead + 1))

    def run(self) -> None:
        """Train on the next steps."""
        before = self.trainer.loader.wait_s
        self.trainer.run(self._timed(islice(self._batches, self._steps)))
        self.waited_s.append(self.trainer.loader.wait_s - before)
        if self._began:
            pairs = zip(self._began, self._ready, strict=True)
            self.device_s.append(sum(began.elapsed_time(ready) for began, ready in pairs) / 1e3)

    def close(self) -> None:
        """End the loader's threads."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on; on a GPU, with events where each was asked for and where it was ready."""
        self._began, self._ready = [], []
        while True:
            began = self._event()
            batch = next(batches, None)
            if batch is None:
                return
            ready = self._event()
            if began is not None and ready is not None:
                self._began.append(began)
                self._ready.append(ready)
            self.last = batch
            yield batch

    def _event(self) -> torch.cuda.Event | None:
        if self.trainer.ranks.device.type != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
