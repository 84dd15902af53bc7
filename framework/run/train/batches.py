"""From a dataset to the batches of a run: its plan over a part, its tiles or embeddings, its loader."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from framework.data.augmentations import AugmentConfig
from framework.data.batch import LabelTable
from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, SOURCE
from framework.data.loading.loader import Loader
from framework.data.loading.prefetch import Prefetcher
from framework.data.plan import Exclusion, Plan, plan_over
from framework.data.scales import ScaleProfile
from framework.data.split import Parts, bags_in
from framework.data.store import EmbeddingStore, Store, TileStore
from framework.distributed import Ranks
from framework.errors import RunError
from framework.objectives import Objective, Predicts
from framework.run.train.config import Draw, RunConfig

log = logging.getLogger(__name__)


def plan_of(
    config: RunConfig,
    dataset: Dataset,
    parts: Parts,
    part: str,
    objective: Objective,
    labels: dict[str, LabelTable],
    draw: Draw,
) -> Plan:
    """Return the run's plan over the bags of a part that have something to learn from.

    Args:
        config: config of the run.
        dataset: the data.
        parts: part of every bag.
        part: ``train`` or ``val``.
        objective: objective of the run.
        labels: its label tables; where they are measurements of what it predicts, bags (or, for a plan over single
            tiles, tiles) without any are left out.
        draw: which stream of ``train.seed`` orders it.

    Raises:
        RunError: nothing to visit.
    """
    bags = bags_in(parts, part)
    if not len(bags):
        raise RunError(f"the split leaves no bag for the part '{part}'; see the section split")
    per = objective.predicts_per if isinstance(objective, Predicts) else None
    known = None if per is None else _measured(labels, per)
    tiles: npt.NDArray[np.bool_] | None = None
    if known is not None and per == "bag":
        bags = _labelled(bags[known[bags]], len(bags), part)
    elif known is not None and config.plan.visits_tiles:
        tiles = known
    plan = plan_over(config.plan, dataset, bags, config.seed_of(draw), tiles)
    for left_out in plan.excluded:
        log.warning("part '%s': %s", part, _named(left_out, dataset))
    return plan


def _named(left_out: Exclusion, dataset: Dataset) -> str:
    """Return which bags a plan never visits, and why."""
    bags = dataset.bags[[SOURCE, BAG]].iloc[left_out.bags[:5]].astype(str).agg(" ".join, axis=1)
    more = f" and {len(left_out.bags) - 5} more" if len(left_out.bags) > 5 else ""
    return f"{len(left_out.bags)} bag(s) left out ({', '.join(bags)}{more}): {left_out.reason}"


def _measured(labels: dict[str, LabelTable], per: Literal["bag", "tile"]) -> npt.NDArray[np.bool_] | None:
    """(B,) or (T,) whether any measurement is known; None where labels are not measurements."""
    tables = [table.values for table in labels.values() if table.per == per and table.values.is_floating_point()]
    if not tables:
        return None
    known = [torch.isfinite(values).reshape(len(values), -1).any(dim=1) for values in tables]
    found: npt.NDArray[np.bool_] = torch.stack(known).any(dim=0).numpy()
    return found


def _labelled(bags: npt.NDArray[np.int64], before: int, part: str) -> npt.NDArray[np.int64]:
    if len(bags) < before:
        log.info("part '%s': %d of %d bags have no measured target and are left out", part, before - len(bags), before)
    if not len(bags):
        raise RunError(f"none of the {before} bags of part '{part}' has a measured target; see the section split")
    return bags


def open_store(config: RunConfig, dataset: Dataset, channels: tuple[str, ...]) -> Store:
    """Return cached embeddings where the run trains on them, else pixels of ``channels``."""
    if config.data.embeddings is not None:
        return EmbeddingStore(config.data.embeddings, dataset)
    return open_tiles(config, dataset, channels)


def open_tiles(config: RunConfig, dataset: Dataset, channels: tuple[str, ...]) -> TileStore:
    """Return the pixels of ``channels``, compared with their checksums where ``data.check`` of the run asks for it."""
    return TileStore(dataset, channels, check=config.data.check)


def open_loader(
    config: RunConfig,
    store: Store,
    plan: Plan,
    *,
    ranks: Ranks,
    scale: ScaleProfile,
    labels: dict[str, LabelTable],
    augment: Sequence[AugmentConfig] = (),
) -> Loader:
    """Return a loader with the run's settings; scaling and memory format apply to pixels alone."""
    pixels = len(store.sample_shape) > 1
    upcoming = None
    if isinstance(store, TileStore) and store.dataset.remote is not None:
        upcoming = Prefetcher(store.dataset, lambda step: plan.at(step).for_rank(ranks.rank, ranks.world_size))
    return Loader(
        store,
        plan,
        rank=ranks.rank,
        world_size=ranks.world_size,
        device=ranks.device,
        scale=scale if pixels else None,
        augment=augment if pixels else (),
        labels=labels,
        seed=config.seed_of(Draw.PIXELS),
        prefetch=config.train.prefetch,
        threads=config.train.threads,
        channels_last=config.train.channels_last and pixels,
        upcoming=upcoming,
    )
