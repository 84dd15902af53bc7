"""PyTorch datasets over the files of a Wellstream dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset as MapDataset
from torch.utils.data import IterableDataset

from framework.data.loading.loader import Loader


class Pixels(Protocol):
    """An object that returns pixels of tiles by their numbers."""

    def __len__(self) -> int: ...

    def read(self, numbers: list[int]) -> npt.NDArray[np.generic]:
        """Return the pixels of some tiles, (n, C, H, W)."""
        ...


class Tiles(MapDataset[torch.Tensor]):
    """Tile number -> pixels (C, H, W) as stored; ``DataLoader`` reads a batch at once through ``__getitems__``."""

    def __init__(self, dataset: Pixels) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, number: int) -> torch.Tensor:
        return torch.from_numpy(self._dataset.read([number])[0])

    def __getitems__(self, numbers: list[int]) -> list[torch.Tensor]:
        return list(torch.from_numpy(self._dataset.read(numbers)))


class BatchesOfPlan(IterableDataset[dict[str, torch.Tensor]]):
    """The batches of one epoch of a plan, filled by threads.

    Use it as it is, or with ``DataLoader(dataset, batch_size=None)``.
    """

    def __init__(self, loader: Loader, steps_per_epoch: int, epoch: int) -> None:
        self._loader = loader
        self._steps = steps_per_epoch
        self._first = epoch * self._steps

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for batch in self._loader.batches(self._first, self._first + self._steps):
            yield {"tiles": batch.tiles, "bags": batch.bags, "tile_ids": batch.tile_ids}
