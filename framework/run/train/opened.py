"""A trained run, opened, and put on a dataset: what every command that uses a run begins with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from framework.data import split
from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.permutation import I64
from framework.data.plan import EveryNthStep, Plan, PlanUniverse
from framework.data.scales import ScaleProfile
from framework.data.split import PARTS, Parts, bags_in
from framework.data.store import Store, TileStore, dataset_digest
from framework.distributed import Ranks, device_here
from framework.errors import ConfigError, RunError, did_you_mean
from framework.objectives import OBJECTIVES, Embeds, Objective, Paints, Predicts
from framework.run.train.agreement import need_same_data
from framework.run.train.batches import open_loader, open_tiles
from framework.run.train.config import RunConfig
from framework.run.train.folder import RunFolder

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Objective)

COMMANDS: Mapping[type[Objective], str] = {Embeds: "embed", Predicts: "predict", Paints: "inpaint"}
"""Role -> the command that uses it."""


@dataclass(frozen=True, kw_only=True)
class OpenedRun:
    """A trained run, ready to use.

    Attributes:
        folder: where it lies.
        config: its config.
        objective: on its device, in eval mode, with the chosen weights.
        scale: how its pixels are scaled.
        step: completed steps of the chosen checkpoint; 0 for initial weights.
        weights: SHA-256 of the chosen weights' file; ``untrained`` for initial weights.
        ranks: this process, on the device that it computes on, and those it shares the work with.
    """

    folder: RunFolder
    config: RunConfig
    objective: Objective
    scale: ScaleProfile
    step: int
    weights: str
    ranks: Ranks

    def having(self, role: type[R]) -> R:
        """Return the objective as one that has a role.

        Raises:
            RunError: it has not; the sentence says which objectives have, and what this run can do.
        """
        if isinstance(self.objective, role):
            return self.objective
        run = self.folder.root
        others = [name for name in OBJECTIVES.names() if issubclass(OBJECTIVES.get(name).build, role)]
        able = [f"wellstream {command} {run}" for each, command in COMMANDS.items() if isinstance(self.objective, each)]
        raise RunError(
            f"{run}: objective '{self.config.objective.name}' does not {COMMANDS[role]}; those that do: "
            f"{', '.join(others)}" + (f"; this run can: {', '.join(able)}" if able else "")
        )

    def on(self, data: Path | str | None, part: str = "all") -> Application:
        """Put the run on a dataset.

        Args:
            data: folder or URL; None: the dataset the run trained on.
            part: ``train``, ``val``, ``test`` or ``all``; for another dataset than the run's only ``all``.

        Raises:
            ConfigError: no such part.
            DatasetError: no dataset there, or one without the channels of the run.
        RunError: ranks that share the work have other data.
        """
        if part not in (*PARTS, "all"):
            known = f"part: expected one of: {', '.join(PARTS)}, all, found '{part}'"
            raise ConfigError(known + did_you_mean(part, PARTS))
        if data is None:
            dataset = self.folder.dataset(self.config, "name its new place: --data DATASET")
        else:
            dataset = Dataset.open(data, self.config.data.cache)
        if self.ranks.world_size > 1:
            need_same_data(dataset, self.ranks)
        return Application(
            run=self,
            dataset=dataset,
            parts=self._parts_of(dataset),
            part=part,
            store=open_tiles(self.config, dataset, self.scale.channels),
            ranks=self.ranks,
        )

    def _parts_of(self, dataset: Dataset) -> Parts:
        """Return the part of every bag: from the run's split file, or ``unseen`` for wells of another dataset."""
        try:
            parts = _parts_in(self.folder, dataset)
        except RunError as error:
            log.warning("%s; all its wells count as unseen", error)
            parts = None
        return np.full(len(dataset.bags), "unseen") if parts is None else parts


@dataclass(frozen=True, kw_only=True)
class Application:
    """A trained run on a dataset.

    Attributes:
        run: the run.
        dataset: the data, opened.
        parts: part of every bag; ``unseen`` where the dataset is not the run's.
        part: the part that is asked for, or ``all``.
        store: its pixels, in the channels of the run.
        ranks: this process, on the device and in the precision of the run, and those it shares the work with.
    """

    run: OpenedRun
    dataset: Dataset
    parts: Parts
    part: str
    store: TileStore
    ranks: Ranks

    def bags(self) -> I64:
        """Return the bags of the part, int64 (n,), increasing.

        Raises:
            RunError: there is none.
        """
        bags = bags_in(self.parts, self.part)
        if not len(bags):
            raise self._nothing("bag")
        return bags

    def parts_of_backbone(self) -> Parts | None:
        """Return the part of every bag in the run that this one builds on.

        None where it builds on none, or on one that is gone or was trained on other data.
        """
        base = self.run.config.objective.builds_on
        if base is None:
            return None
        try:
            return _parts_in(RunFolder(root=Path(base)), self.dataset)
        except RunError:
            return None

    def tiles(self) -> I64:
        """Return the tiles of the part, int64 (n,), increasing.

        Raises:
            RunError: there is none.
        """
        tiles = np.flatnonzero(np.isin(self.dataset.index.bag, bags_in(self.parts, self.part))).astype(np.int64)
        if not len(tiles):
            raise self._nothing("tile")
        return tiles

    def pixels(self, tiles: I64) -> npt.NDArray[Any]:
        """Return tiles (n, C, H, W) as stored, in the channels of the run."""
        images = np.empty((len(tiles), *self.store.sample_shape), dtype=self.store.dtype)
        self.store.gather(tiles, images)
        return images

    def universe(self) -> PlanUniverse:
        """Return the bags of the part, with all their tiles. Raises RunError where there is none."""
        return PlanUniverse.of(self.dataset, self.bags())

    def batches(self, plan: Plan, store: Store | None = None, first: int = 0) -> Iterator[Batch]:
        """Yield steps of one epoch of a plan, scaled as in training, on the device: all of them where one rank works.

        Args:
            plan: what to visit.
            store: where the tiles come from; None: the pixels.
            first: the first step of this rank. Each rank takes whole steps: this one, and then every N-th of N ranks.
        """
        source = self.store if store is None else store
        mine = EveryNthStep(plan, first, self.ranks.world_size)
        alone = replace(self.ranks, rank=0, world_size=1)
        loader = open_loader(self.run.config, source, mine, ranks=alone, scale=self.run.scale, labels={})
        yield from loader.batches(0, mine.steps_per_epoch)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Run the network without gradients, in the precision of the run."""
        with torch.inference_mode(), self.ranks.autocast():
            yield

    def _nothing(self, what: str) -> RunError:
        if self.part == "all":
            return RunError(f"{self.dataset.where}: no {what}s in this dataset; see: wellstream inspect")
        known = ", ".join(sorted(set(self.parts)))
        return RunError(f"{self.dataset.where}: no {what} in part '{self.part}' (parts: {known}); use part all")


def _parts_in(folder: RunFolder, dataset: Dataset) -> Parts | None:
    """Return the part that each bag has in the split file of a run, by its name.

    None where the dataset has another name than that of the run. Names cannot tell cells of another field from the same
    wells with other tiles, so pixels that are not those of the run are said.

    Raises:
        RunError: the file is damaged, or does not list all bags.
    """
    facts = folder.objective_facts()
    if facts.dataset != dataset.manifest.name:
        return None
    parts = split.read(folder.split_file, dataset.bags)
    if facts.dataset_digest != dataset_digest(dataset):
        log.warning(
            "%s has the name '%s' of the dataset that %s was trained on, but other pixels: its bags take the parts "
            "that bags of their names have in %s; if they are other cells, ingest them under another name (key name)",
            *(dataset.where, facts.dataset, folder.root, folder.split_file.name),
        )
    return parts


def solo(config: RunConfig, device: str | None = None) -> Ranks:
    """Return one process in the precision of a run.

    Args:
        config: config of the run.
        device: as ``open_run`` has it.

    Raises:
        ConfigError: no such device, here or at all.
    """
    return Ranks.solo(_device(config, device), config.train.precision)


def joined(config: RunConfig, device: str | None = None) -> Ranks:
    """Join the processes that a launcher started, in the precision of a run; alone without one.

    Args:
        config: config of the run.
        device: as ``open_run`` has it.

    Raises:
        ConfigError: as ``solo``.
        RunError: as ``Ranks.open``.
    """
    place: Literal["cpu", "cuda"] = "cpu" if _device(config, device) == "cpu" else "cuda"
    return Ranks.open(place, config.train.precision, deterministic=None)


def _device(config: RunConfig, device: str | None) -> str:
    if device is None and config.train.device == "cuda" and not torch.cuda.is_available():
        log.warning("the run was trained with train.device=cuda and there is no CUDA device here: computing on the CPU")
        device = "cpu"
    return device_here(device or config.train.device)
