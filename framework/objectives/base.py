"""What every objective is: a module that turns a batch into sums and counts, and knows nothing of ranks.

Life of an objective::

    profile = Entry.build.fit(config, dataset, channels, train_bags, pretrained)   # plain facts, no weights
    objective = Entry.build(config, profile)                  # a module; its state_dict holds every weight
    objective.start_from(pretrained)                          # only at step 0, only where one was asked for
    labels = objective.labels(dataset)                        # what the loader attaches to batches
    losses = objective(batch, gather)                         # sums and counts, never means
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from framework.config import StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.errors import RunError
from framework.models import Aggregate, BagEncoder, Pool, build_backbone
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


@dataclass(frozen=True, kw_only=True)
class PretrainedBackbone:
    """What one run hands to another: how to build its bag encoder, and the weights.

    Attributes:
        encoder_config: options of the backbone.
        aggregate: order of averaging and dense layers.
        pool: how tiles are pooled.
        l2_normalise: whether the bag embedding is scaled to length 1.
        channels: names of the channels it saw, in order.
        state: state dict of the ``BagEncoder``, on the CPU.
    """

    encoder_config: StrictModel
    aggregate: Aggregate
    pool: Pool
    l2_normalise: bool
    channels: tuple[str, ...]
    state: Mapping[str, torch.Tensor]

    @property
    def in_channels(self) -> int:
        """How many channels it saw."""
        return len(self.channels)

    def build(self) -> BagEncoder:
        """Return the bag encoder with these weights.

        Raises:
            RuntimeError: the weights are not of that backbone.
        """
        encoder = BagEncoder(
            build_backbone(self.encoder_config, self.in_channels),
            aggregate=self.aggregate,
            l2_normalise=self.l2_normalise,
            pool=self.pool,
        )
        encoder.load_state_dict(dict(self.state))
        return encoder


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
    def fit(
        cls,
        config: Any,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> Any:
        """Return the profile: facts measured on the training bags only (means, gene names, class names)."""
        raise TypeError(f"{cls.__name__} must define fit")

    def start_from(self, pretrained: PretrainedBackbone) -> None:
        """Take over the weights of another run, before the first step.

        Raises:
            RunError: this objective does not build on another run.
        """
        raise RunError(f"{type(self).__name__} does not start from a pretrained backbone")

    def backbone_facts(self) -> PretrainedBackbone:
        """Return what another run needs to build on this one.

        Raises:
            RunError: nothing can build on this objective.
        """
        raise RunError(f"a run of {type(self).__name__} has no backbone that another run could start from")

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return the label tables this objective reads from ``batch.labels``."""
        raise TypeError(f"{type(self).__name__} must define labels")

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return this rank's loss sums; ``gather`` is the only way to see other ranks' rows.

        A network in train mode may be shown ``batch.without_padding()`` alone, because batch normalisation lets rows
        influence each other. It must take a batch without rows too. What is gathered needs all rows again:
        ``batch.with_padding(rows)``.
        """
        raise TypeError(f"{type(self).__name__} must define forward")

    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) scaled tiles -> (..., E) tile embeddings, the vectors that are pooled over a bag."""
        raise TypeError(f"{type(self).__name__} must define embed_tiles")

    def embed_bags(self, embedded: torch.Tensor) -> torch.Tensor:
        """(K, N, E) from ``embed_tiles`` -> (K, D) bag embeddings; the mean unless an objective pools otherwise."""
        return embedded.mean(dim=1)

    def feature_network(self) -> nn.Module:
        """Return the network that sees (n, C, H, W) tiles of ``source_cells``, whose layers ``embed`` may be asked for.

        Raises:
            RunError: this objective has none.
        """
        encoder = getattr(self, "bag_encoder", None)
        if not isinstance(encoder, BagEncoder):
            raise RunError(f"a run of {type(self).__name__} has no layers to take features from")
        return encoder.encoder

    def source_cells(self, cells: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) with all channels of the run -> those that ``feature_network`` sees; all, unless overridden."""
        return cells

    def predict(self, batch: Batch) -> torch.Tensor:
        """(K, P) predictions a bag or (K, N, P) a tile, in units of the targets, columns as ``outputs``."""
        raise TypeError(f"{type(self).__name__} has no predictions")

    def outputs(self) -> list[str]:
        """Names of the P prediction columns (genes, markers)."""
        return []

    def output_table(self) -> pd.DataFrame:
        """One row a prediction column, index as ``outputs``: target, gene, train_mean, train_sd in its units."""
        return pd.DataFrame({"target": [], "gene": [], "train_mean": [], "train_sd": []}, index=pd.Index([], dtype=str))


def at_least_float32(values: torch.Tensor) -> torch.Tensor:
    """Return what autocast computed in half precision as float32, in which losses are summed; float64 stays."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


OBJECTIVES: Registry[type[Objective]] = Registry("objective")
