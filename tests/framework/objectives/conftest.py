"""A tiny dataset, batches cut from it, and ranks that are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset, stored_tiles

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.objectives import Gather, Objective

R = TypeVar("R")
MakeBatch = Callable[..., Batch]
OnRanks = Callable[[Sequence[Callable[[Gather], R]]], list[R]]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """12 bags of 3 perturbations x 2 stimulations, two markers, two targets; bag 1 has no targets."""
    folder = tmp_path_factory.mktemp("objectives") / "tiny"
    return make_dataset(folder, bags=12, markers=("FRA1", "MITF"), targets={"rna_M1": 4, "protein_M1": 3})


@pytest.fixture
def make_batch(dataset: Dataset) -> MakeBatch:
    """Function (objective, bags, tiles, weights=None, seed=0) -> Batch; 2 tiles where it needs pairs, else 3."""
    pixels = stored_tiles(dataset).astype(np.float32)
    pixels = (pixels - pixels.mean()) / pixels.std()

    def make(
        objective: Objective,
        bags: Sequence[int],
        tiles: int | None = None,
        weights: Sequence[float] | None = None,
        seed: int = 0,
    ) -> Batch:
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

    return make


@pytest.fixture
def on_ranks() -> OnRanks[R]:
    """Function that runs one callable per rank, each in a thread, with a gather that joins their rows and gradients."""

    def run(work: Sequence[Callable[[Gather], R]]) -> list[R]:
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

    return run
