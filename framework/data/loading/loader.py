"""From a plan to batches on the device, by threads: plan, gather into a reusable buffer, copy, scale, flip.

No worker process, no pickling, no queue of samples. A step's batch is a pure function of the plan and the seeds, so
threads may finish in any order; batches come out in the order of steps. On the CPU threads do all of it, a block of
tiles at a time, into memory of batches that nobody holds any more; for CUDA they fill page-locked buffers and queue the
copy, flips and scaling on a stream beside the caller's, which waits there for what it is handed.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
import torch

from framework.data.augmentations import AugmentConfig
from framework.data.batch import Batch, LabelTable
from framework.data.loading.buffers import Recycler
from framework.data.loading.transfer import Lane, Mark, lane_to
from framework.data.loading.transform import as_float, augment, augment_key, scale
from framework.data.plan import Plan, StepRows
from framework.data.scales import ScaleProfile
from framework.data.store import Store
from framework.data.torch_threads import compute_alone
from framework.errors import RunError, mark_own

_BLOCK_BYTES = 1 << 22
"""Stored tiles gathered before they are scaled: few enough to be in the processor's cache still."""


@dataclass(kw_only=True)
class _Buffer:
    """Page-locked memory for one rank's stored tiles of a step, and the copy to the device that may still read it."""

    tiles: torch.Tensor
    copied: Mark | None = None


@dataclass(frozen=True, kw_only=True)
class _Sending:
    """What batches reach another device by."""

    lane: Lane
    buffers: queue.SimpleQueue[_Buffer]


@dataclass(frozen=True, kw_only=True)
class _Memory:
    """What batches on the CPU are made in.

    Attributes:
        batches: the tiles of a step, as the caller gets them.
        stored: a block of tiles as stored.
        planar: a block of scaled tiles, channel by channel, where the batch wants another order.
    """

    batches: Recycler
    stored: Recycler
    planar: Recycler


class Loader:
    """Turns steps into batches of one rank.

    A batch is the caller's for as long as anything refers to its tiles; then its memory serves another batch. Memory,
    beside the batches the caller keeps, while ``batches`` runs: at most ``prefetch + 2`` batches (those ahead, the one
    handed over and the one the caller's loop variable still holds) and a few MB per thread, kept for the next call; for
    CUDA as many there, and two page-locked buffers of stored tiles per thread.

    Args:
        store: where samples come from.
        plan: which samples make up a step.
        rank: rank of this process.
        world_size: number of processes.
        device: where batches are wanted.
        scale: fitted scaling of pixels; None gives stored values as float32.
        augment: how tiles are changed, in order; those that change stored pixels come first, whatever the order.
        labels: name -> table, looked up a row or a tile.
        seed: seed of these changes.
        prefetch: batches prepared ahead, >= 1.
        threads: >= 1; more than ``prefetch`` are of no use.
        channels_last: give pixels the memory format that convolutions prefer; ``batch.tiles.flatten(0, 1)`` is then a
            channels_last view of (K * N, C, H, W), without a copy.
        pin: page-lock the buffers that are copied to the device; None does so for CUDA.
        as_stored: give tiles of the stored type, for callers who scale themselves.
        upcoming: told (step, stop) when a step is begun, so that what it and the steps before ``stop`` need can be
            fetched; returns at once.

    Raises:
        RunError: scaling, flips or channels_last asked of cached embeddings, or a label table of another length.
        ValueError: ``as_stored`` together with any of these.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        *,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        scale: ScaleProfile | None = None,
        augment: Sequence[AugmentConfig] = (),
        labels: Mapping[str, LabelTable] | None = None,
        seed: int = 0,
        prefetch: int = 2,
        threads: int = 2,
        channels_last: bool = False,
        pin: bool | None = None,
        as_stored: bool = False,
        upcoming: Callable[[int, int], None] | None = None,
    ) -> None:
        if prefetch < 1 or threads < 1:
            raise ValueError(f"expected prefetch >= 1 and threads >= 1, found {prefetch} and {threads}")
        self._store, self._plan, self._upcoming = store, plan, upcoming
        self._rank, self._world_size, self._device = rank, world_size, torch.device(device)
        self._scale, self._seed = scale, seed
        active = [options for options in augment if not options.is_idle]
        self._moves = [options for options in active if not options.after_scale]
        self._changes = [options for options in active if options.after_scale]
        self._labels = dict(labels or {})
        self._prefetch, self._threads = prefetch, min(threads, prefetch)
        self._channels_last = channels_last
        self._pin = self._device.type == "cuda" if pin is None else pin
        self._as_stored = as_stored
        changed = scale is not None or bool(active) or channels_last
        if as_stored and changed:
            raise ValueError("as_stored gives tiles as they are stored; leave out scale, augment and channels_last")
        # What is stored in the type of the batch, and stays as it is, is gathered straight into the batch.
        self._straight = as_stored or (store.dtype == np.float32 and not changed)
        self.wait_s = 0.0
        """Seconds the consumer has waited for data so far, before any collective; on a GPU with those that the device
        waited for a batch which was still on its way."""
        self._check()

    def rows_at(self, step: int) -> StepRows:
        """Return this rank's rows of a step."""
        return self._plan.at(step).for_rank(self._rank, self._world_size)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps ``start`` .. ``stop - 1`` in order.

        What a thread raises is raised here, at its step. Leaving the loop early, by ``break`` or an exception, ends and
        joins the threads.
        """
        lane = lane_to(self._device)
        memory = self._reusable if lane is None else _Sending(lane=lane, buffers=self._page_locked())
        steps = iter(range(start, stop))
        with ThreadPoolExecutor(self._threads, "wellstream-loader", _begin_thread, (lane,)) as threads:
            pending: deque[Future[tuple[Batch, Mark | None]]] = deque()
            try:
                pending.extend(
                    threads.submit(self._prepare, step, stop, memory) for step in islice(steps, self._prefetch)
                )
                while pending:
                    batch, ready = self._waited(pending.popleft())
                    pending.extend(threads.submit(self._prepare, step, stop, memory) for step in islice(steps, 1))
                    if lane is not None and ready is not None:
                        lane.arrive(ready, batch.tensors())
                    yield batch
                    # While the next one is waited for, only the caller decides whether this one lives on.
                    del batch
                    if lane is not None:
                        self.wait_s += lane.finish_step()
            finally:
                for future in pending:
                    future.cancel()

    def _waited(self, future: Future[tuple[Batch, Mark | None]]) -> tuple[Batch, Mark | None]:
        began = time.perf_counter()
        try:
            ready = future.result()
        except Exception as error:
            mark_own(error)
            raise
        self.wait_s += time.perf_counter() - began
        return ready

    def _prepare(self, step: int, stop: int, memory: _Memory | _Sending) -> tuple[Batch, Mark | None]:
        """In a thread: a finished batch, or one that is on its way to the device, and when it will be there."""
        if self._upcoming is not None:
            self._upcoming(step, stop)
        rows = self.rows_at(step)
        if isinstance(memory, _Memory):
            return self._labelled(rows, self._filled(rows, memory)), None
        buffer = memory.buffers.get()
        try:
            if buffer.copied is not None:
                buffer.copied.synchronize()
            self._store.gather(rows.tiles.ravel(), buffer.tiles.numpy())
            return self._sent(self._labelled(rows, buffer.tiles), buffer, memory.lane)
        finally:
            memory.buffers.put(buffer)

    def _filled(self, rows: StepRows, memory: _Memory) -> torch.Tensor:
        """Return the tiles of a step, (K, N, ...), in memory that nobody else refers to."""
        tile_ids, whole = rows.tiles.ravel(), memory.batches.take()
        if self._straight:
            self._store.gather(tile_ids, whole)
        else:
            tiles = torch.from_numpy(whole)
            scratch = memory.stored.take()
            planar = torch.from_numpy(memory.planar.take()) if self._channels_last else None
            for first in range(0, len(tile_ids), len(scratch)):
                block = slice(first, min(first + len(scratch), len(tile_ids)))
                stored = scratch[: block.stop - first]
                self._store.gather(tile_ids[block], stored)
                if planar is None:
                    self._transformed(torch.from_numpy(stored), first, rows.step, tiles[block])
                else:
                    ready = self._transformed(torch.from_numpy(stored), first, rows.step, planar[: len(stored)])
                    tiles[block].copy_(ready.permute(0, 2, 3, 1))
        return self._shaped(torch.from_numpy(whole))

    def _shaped(self, tiles: torch.Tensor) -> torch.Tensor:
        """(K * N, ...) as in memory -> (K, N, ...), a view."""
        if self._channels_last:
            tiles = tiles.permute(0, 3, 1, 2)
        return tiles.view(-1, self._plan.tiles_per_row, *tiles.shape[1:])

    def _sent(self, batch: Batch, buffer: _Buffer, lane: Lane) -> tuple[Batch, Mark]:
        """Queue the copy of stored integers and what follows it; the buffer is free once the copy has happened."""
        if self._pin:
            # A copy from pageable memory would wait for the device. The buffer is page-locked already.
            batch = batch.moved(lambda values: values.pin_memory())
        with lane.queueing():
            there = batch.moved(lambda values: values.to(self._device, non_blocking=True, copy=True))
            buffer.copied = lane.mark()
            tiles = there.tiles if self._as_stored else self._transformed(there.tiles, 0, batch.step)
            if self._channels_last:
                tiles = tiles.permute(0, 2, 3, 1).contiguous()
            on_host = (batch.bags, batch.tile_ids, batch.weights)
            return replace(there, tiles=self._shaped(tiles), on_host=on_host), lane.mark()

    def _transformed(
        self, stored: torch.Tensor, first: int, step: int, out: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Stored values (n, ...) -> float32, the same shape.

        Args:
            stored: some tiles of this rank's step.
            first: place of the first of them among all of this rank's.
            step: global step.
            out: float32 (n, ...) to fill; None allocates.
        """
        if not (self._moves or self._changes):
            return as_float(stored, out) if self._scale is None else scale(stored, self._scale, out)
        begin = self._rank * self._share + first
        positions, key = np.arange(begin, begin + len(stored)), augment_key(self._seed, step)
        moved = augment(stored, positions, key, self._moves)
        tiles = as_float(moved, out) if self._scale is None else scale(moved, self._scale, out)
        if not self._changes:
            return tiles
        changed = augment(tiles, positions, augment_key(self._seed, step, after_scale=True), self._changes)
        return changed if out is None else out.copy_(changed)

    def _labelled(self, rows: StepRows, tiles: torch.Tensor) -> Batch:
        bags, tile_ids = torch.from_numpy(rows.bags), torch.from_numpy(rows.tiles)
        found = {name: table.values[bags if table.per == "bag" else tile_ids] for name, table in self._labels.items()}
        return Batch(
            tiles=tiles,
            bags=bags,
            tile_ids=tile_ids,
            weights=torch.from_numpy(rows.weights),
            labels=found,
            step=rows.step,
            epoch=rows.epoch,
            counted=rows.counted,
        )

    @property
    def _share(self) -> int:
        """Tiles of one rank in a step."""
        return -(-self._plan.rows // self._world_size) * self._plan.tiles_per_row

    def _page_locked(self) -> queue.SimpleQueue[_Buffer]:
        """Two a thread: one to fill while the other is copied."""
        dtype: torch.dtype = getattr(torch, self._store.dtype.name)
        buffers: queue.SimpleQueue[_Buffer] = queue.SimpleQueue()
        for _ in range(2 * self._threads):
            tiles = torch.empty((self._share, *self._store.sample_shape), dtype=dtype, pin_memory=self._pin)
            buffers.put(_Buffer(tiles=tiles))
        return buffers

    @cached_property
    def _reusable(self) -> _Memory:
        """Kept from one call of ``batches`` to the next: fresh memory is dear."""
        sample, stored = self._store.sample_shape, self._store.dtype
        each = int(np.prod(sample)) * stored.itemsize
        block = (max(1, min(self._share, _BLOCK_BYTES // each)), *sample)
        laid_out = (*sample[1:], sample[0]) if self._channels_last else sample
        return _Memory(
            batches=Recycler((self._share, *laid_out), stored if self._straight else np.float32, self._prefetch + 2),
            stored=Recycler(block, stored, self._threads),
            planar=Recycler(block, np.float32, self._threads),
        )

    def _check(self) -> None:
        vectors = len(self._store.sample_shape) == 1
        if vectors and (self._scale is not None or self._moves or self._changes or self._channels_last):
            raise RunError(
                "data.embeddings: cached embeddings are vectors, so data.scale, data.augment and train.channels_last "
                "do not apply; leave them out, or leave out data.embeddings to train on pixels"
            )
        for name, table in self._labels.items():
            if table.per == "tile" and len(table.values) != len(self._store):
                raise RunError(
                    f"label '{name}': expected {len(self._store)} rows, one per tile, found {len(table.values)}"
                )


def _begin_thread(lane: Lane | None) -> None:
    # The threads of a loader share the cores among themselves.
    compute_alone()
    if lane is not None:
        lane.begin_thread()
