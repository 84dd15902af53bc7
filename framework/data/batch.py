"""What flows from the loader into an objective: one rank's rows of one global step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Labels the loader attaches to each batch.

    Attributes:
        per: ``bag`` (one row per bag of the dataset) or ``tile`` (one row per tile).
        values: (B, ...) or (T, ...) tensor on the CPU.
    """

    per: Literal["bag", "tile"]
    values: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One rank's part of a global step, on the device.

    Shape letters: K rows (bags) of this rank, N tiles per row, C channels.

    Attributes:
        tiles: float (K, N, C, H, W) scaled pixels, or (K, N, D) cached embeddings.
        bags: int64 (K,), row of bags.parquet.
        tile_ids: int64 (K, N), row of tiles.parquet.
        weights: float32 (K,); 0 marks a padding row that must not count anywhere.
        labels: label name -> (K, ...) for bag labels, (K, N, ...) for tile labels.
        step: global step this batch belongs to.
        epoch: epoch of that step.
        counted: how many rows count, where those come first, so that nobody has to ask the device; None: look at
            ``weights``.
        on_host: ``bags``, ``tile_ids`` and ``weights`` as they were before they were copied to a device, so that nobody
            has to ask it for them; None on the CPU.
    """

    tiles: torch.Tensor
    bags: torch.Tensor
    tile_ids: torch.Tensor
    weights: torch.Tensor
    labels: Mapping[str, torch.Tensor]
    step: int
    epoch: int
    counted: int | None = None
    on_host: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def rows_on_host(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ``bags``, ``tile_ids`` and ``weights`` on the CPU, without asking a device that was given copies."""
        return self.on_host or (self.bags.cpu(), self.tile_ids.cpu(), self.weights.cpu())

    def without_padding(self) -> Batch:
        """Return the rows that count: what a network may see in training, where rows can influence each other.

        Views where these rows come first, as a loader's do; the batch itself where all rows count. There may be none.
        """
        real = self._real()
        if real is None:
            return self
        return self._rows(real if self.counted is None else slice(self.counted))

    def parts(self, count: int) -> tuple[Batch, ...]:
        """Return the rows in ``count`` parts, in their order, of equal size to within one row; views.

        Padding rows count as rows here, so ranks whose batches have as many rows get parts of the same sizes.
        """
        size, larger = divmod(len(self.weights), count)
        ends = [size * number + min(number, larger) for number in range(count + 1)]
        return tuple(self._part(start, stop) for start, stop in itertools.pairwise(ends))

    def _part(self, start: int, stop: int) -> Batch:
        rows = self._rows(slice(start, stop))
        counted = None if self.counted is None else min(max(self.counted - start, 0), stop - start)
        if self.on_host is None:
            return replace(rows, counted=counted)
        bags, tile_ids, weights = self.on_host
        there = slice(start, stop)
        return replace(rows, counted=counted, on_host=(bags[there], tile_ids[there], weights[there]))

    def _rows(self, chosen: slice | torch.Tensor) -> Batch:
        return replace(
            self,
            tiles=self.tiles[chosen],
            bags=self.bags[chosen],
            tile_ids=self.tile_ids[chosen],
            weights=self.weights[chosen],
            labels={name: values[chosen] for name, values in self.labels.items()},
        )

    def with_padding(self, rows: torch.Tensor) -> torch.Tensor:
        """Undo ``without_padding`` for what was computed of its rows.

        Args:
            rows: (k, ...), one per row that counts, in their order.

        Returns:
            (K, ...), zeros where a row is padding; ``rows`` itself where all rows count.
        """
        real = self._real()
        if real is None:
            return rows
        whole = rows.new_zeros((len(self.weights), *rows.shape[1:]))
        return whole.index_put((real,), rows)

    def _real(self) -> torch.Tensor | None:
        """Return the places of the rows that count; None where all do."""
        if self.counted is None:
            real = (self.weights > 0).nonzero().squeeze(1)
        elif self.counted < len(self.weights):
            real = torch.arange(self.counted, device=self.weights.device)
        else:
            return None
        return None if len(real) == len(self.weights) else real

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Return everything that lies on the device."""
        return self.tiles, self.bags, self.tile_ids, self.weights, *self.labels.values()

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        """Return the batch with each of its tensors in another place, their shapes as they are."""
        return replace(
            self,
            tiles=move(self.tiles),
            bags=move(self.bags),
            tile_ids=move(self.tile_ids),
            weights=move(self.weights),
            labels={name: move(values) for name, values in self.labels.items()},
        )


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return small values of the CPU, any shape, on ``device``, without waiting for what is queued there.

    From page-locked memory, because a copy from any other makes this thread wait for all that its stream has to do.
    """
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def fetched(values: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Begin to copy values, any shape, to the CPU; the returned call gives them there once they have arrived.

    It waits for no work that is queued on the device after this. A plain copy would be queued behind that work, and the
    device would have nothing to do while the results are used.
    """
    if not values.is_cuda:
        return lambda: values
    there = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    there.copy_(values, non_blocking=True)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()

    def read() -> torch.Tensor:
        arrived.synchronize()
        return there

    return read
