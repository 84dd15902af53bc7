"""What flows from the loader into an objective: one rank's rows of one global step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Labels the loader attaches to each batch.

    Attributes:
        per: ``bag`` (one row a bag of the dataset) or ``tile`` (one row a tile).
        values: (B, ...) or (T, ...) tensor on the CPU.
    """

    per: Literal["bag", "tile"]
    values: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One rank's part of a global step, on the device.

    Shape letters: K rows (bags) of this rank, N tiles a row, C channels.

    Attributes:
        tiles: float (K, N, C, H, W) scaled pixels, or (K, N, D) cached embeddings.
        bags: int64 (K,), row of bags.parquet.
        tile_ids: int64 (K, N), row of tiles.parquet.
        weights: float32 (K,); 0 marks a padding row that must not count anywhere.
        labels: label name -> (K, ...) for bag labels, (K, N, ...) for tile labels.
        step: global step this batch belongs to.
        epoch: epoch of that step.
    """

    tiles: torch.Tensor
    bags: torch.Tensor
    tile_ids: torch.Tensor
    weights: torch.Tensor
    labels: Mapping[str, torch.Tensor]
    step: int
    epoch: int

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Return everything that lies on the device."""
        return self.tiles, self.bags, self.tile_ids, self.weights, *self.labels.values()

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """Return the batch with each of its tensors in another place."""
        return replace(
            self,
            tiles=move(self.tiles),
            bags=move(self.bags),
            tile_ids=move(self.tile_ids),
            weights=move(self.weights),
            labels={name: move(values) for name, values in self.labels.items()},
        )
