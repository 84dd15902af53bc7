"""What every objective is: a module that turns a batch into sums and counts, and knows nothing of ranks.

Life of an objective::

    profile = Entry.build.fit(config, dataset, train_bags)   # plain facts: gene names, train means, channels
    objective = Entry.build(config, profile)                  # a module; its state_dict holds every weight
    labels = objective.labels(dataset)                        # what the loader attaches to batches
    losses = objective(batch, gather)                         # sums and counts, never means
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from framework.config import StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.registry import Registry

Gather = Callable[[torch.Tensor], torch.Tensor]
"""(K, ...) rows of this rank -> (world * K, ...) rows of all ranks, rank by rank, with gradients to every rank."""


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Sums over this rank's rows.

    Attributes:
        total: differentiable scalar, the sum of the loss over this rank's counted items.
        count: how many items that sum is over (0-d float tensor, no gradient); the trainer divides by the global count.
        parts: named (sum, count) pairs of 0-d tensors, for the log only.
    """

    total: torch.Tensor
    count: torch.Tensor
    parts: Mapping[str, tuple[torch.Tensor, torch.Tensor]]


class Objective(nn.Module):
    """Base class; subclasses register themselves with ``@OBJECTIVES.register(name, Config)``."""

    profile_type: ClassVar[type[StrictModel]]
    """Class of ``profile``, so that a checkpoint can be opened without the training data."""

    output: ClassVar[Literal["bag", "tile", "none"]]
    """Whether ``predict`` gives a row a bag, a row a tile, or nothing."""

    def __init__(self, config: StrictModel, profile: StrictModel) -> None:
        super().__init__()
        self.config = config
        self.profile = profile

    @classmethod
    def fit(cls, config: Any, dataset: Dataset, channels: tuple[str, ...], train_bags: npt.NDArray[np.int64]) -> Any:
        """Return the profile: facts measured on the training bags only (means, gene names, class names)."""
        raise TypeError(f"{cls.__name__} must define fit")

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return the label tables this objective reads from ``batch.labels``."""
        raise TypeError(f"{type(self).__name__} must define labels")

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return this rank's loss sums; ``gather`` is the only way to see other ranks' rows."""
        raise TypeError(f"{type(self).__name__} must define forward")

    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) scaled tiles -> (..., D) tile embeddings, the vectors whose mean describes a bag."""
        raise TypeError(f"{type(self).__name__} must define embed_tiles")

    def predict(self, batch: Batch) -> torch.Tensor:
        """(K, P) predictions a bag or (K, N, P) a tile, in units of the targets, columns as ``outputs``."""
        raise TypeError(f"{type(self).__name__} has no predictions")

    def outputs(self) -> list[str]:
        """Names of the P prediction columns (genes, markers)."""
        return []


OBJECTIVES: Registry[type[Objective]] = Registry("objective")
