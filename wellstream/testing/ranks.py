"""Batches of a small dataset, and threads in place of ranks: tools for the contract tests of objectives."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.objectives import Gather, Objective

R = TypeVar("R")


def alone(rows: torch.Tensor) -> torch.Tensor:
    """Gather of a single process: rows (K, ...) as they are."""
    return rows


def make_batch(
    dataset: Dataset,
    objective: Objective,
    bags: Sequence[int],
    tiles: int | None = None,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> Batch:
    """Return a batch of random tiles of some bags; 2 tiles per row where the objective needs pairs, else 3."""
    store = TileStore(dataset)
    stored = np.empty((len(store), *store.sample_shape), dtype=store.dtype)
    store.gather(np.arange(len(store)), stored)
    pixels = stored.astype(np.float32)
    pixels = (pixels - pixels.mean()) / pixels.std()
    rng = np.random.default_rng(seed)
    if tiles is None:
        tiles = 2 if objective.config.requires_plan == "pairs" else 3
    start = dataset.index.bag_start
    ids = np.stack([rng.integers(start[b], start[b + 1], tiles) for b in bags])
    rows = {"bag": torch.tensor(list(bags)), "tile": torch.from_numpy(ids)}
    return Batch(
        tiles=torch.from_numpy(pixels[ids]),
        bags=rows["bag"],
        tile_ids=rows["tile"],
        weights=torch.tensor(list(weights) if weights is not None else [1.0] * len(bags)),
        labels={name: table.values[rows[table.per]] for name, table in objective.labels(dataset).items()},
        step=0,
        epoch=0,
    )


def part(batch: Batch, rows: slice | list[int]) -> Batch:
    """Return some rows of a batch."""
    return dataclasses.replace(
        batch,
        tiles=batch.tiles[rows],
        bags=batch.bags[rows],
        tile_ids=batch.tile_ids[rows],
        weights=batch.weights[rows],
        labels={name: values[rows] for name, values in batch.labels.items()},
    )


def on_ranks(work: Sequence[Callable[[Gather], R]]) -> list[R]:
    """Run one callable per rank, each in a thread, with a gather that joins their rows and gradients."""
    world = len(work)
    meet = threading.Barrier(world, timeout=30)
    slots: list[torch.Tensor | None] = [None] * world

    def start(rank: int) -> R:
        def gather(rows: torch.Tensor) -> torch.Tensor:
            slots[rank] = rows
            meet.wait()
            joined = torch.cat([slot for slot in slots if slot is not None])
            meet.wait()
            return joined

        try:
            return work[rank](gather)
        except BaseException:
            meet.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        return [future.result() for future in [pool.submit(start, rank) for rank in range(world)]]
