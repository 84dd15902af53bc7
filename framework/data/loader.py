"""From a plan to batches on the device, by threads: plan, gather into a reusable buffer, copy, scale, flip.

No worker process, no pickling, no queue of samples. A step's batch is a pure function of the plan and the seeds, so
threads may finish in any order; batches come out in the order of steps. On the CPU threads do all of it; for CUDA they
fill page-locked buffers, and the copy, scaling and flips are queued on the current stream by the consumer.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from framework.data.batch import Batch, LabelTable
from framework.data.plan import Plan, StepRows
from framework.data.store import Store
from framework.data.transform import AugmentConfig, ScaleProfile, as_float, augment, augment_key, scale
from framework.errors import RunError


@dataclass(kw_only=True)
class _Buffer:
    """Host memory for one rank's stored tiles of a step, and the copy to the device that may still read it."""

    tiles: torch.Tensor
    copied: torch.cuda.Event | None = None


_Pool = queue.SimpleQueue[_Buffer]


class Loader:
    """Turns steps into batches of one rank.

    Memory, beside the batches the caller keeps: at most ``prefetch`` batches prepared ahead, and buffers of stored
    tiles, min(threads, prefetch) of them on the CPU and prefetch + 1 page-locked ones for CUDA.

    Args:
        store: where samples come from.
        plan: which samples make up a step.
        rank: of this process.
        world_size: number of processes.
        device: where batches are wanted.
        scale: fitted scaling of pixels; None gives stored values as float32.
        augment: flips and turns; None for none.
        labels: name -> table, looked up a row or a tile.
        seed: of the flips.
        prefetch: batches prepared ahead, >= 1.
        threads: >= 1; more than ``prefetch`` are of no use.
        channels_last: give pixels the memory format that convolutions prefer; ``batch.tiles.flatten(0, 1)`` is then a
            channels_last view of (K * N, C, H, W), without a copy.
        pin: page-lock the buffers; None does so for CUDA.
        upcoming: told (step, stop) when a step is begun, so that what it and the steps before ``stop`` need can be
            fetched; returns at once.

    Raises:
        RunError: scaling, flips or channels_last asked of cached embeddings, or a label table of another length.
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
        augment: AugmentConfig | None = None,
        labels: Mapping[str, LabelTable] | None = None,
        seed: int = 0,
        prefetch: int = 2,
        threads: int = 2,
        channels_last: bool = False,
        pin: bool | None = None,
        upcoming: Callable[[int, int], None] | None = None,
    ) -> None:
        if prefetch < 1 or threads < 1:
            raise ValueError(f"expected prefetch >= 1 and threads >= 1, found {prefetch} and {threads}")
        self._store, self._plan, self._upcoming = store, plan, upcoming
        self._rank, self._world_size, self._device = rank, world_size, torch.device(device)
        self._scale, self._augment, self._seed = scale, augment, seed
        self._labels = dict(labels or {})
        self._prefetch, self._threads = prefetch, min(threads, prefetch)
        self._channels_last = channels_last
        self._on_cuda = self._device.type == "cuda"
        self._pin = self._on_cuda if pin is None else pin
        self.wait_s = 0.0
        """Seconds the consumer has waited for data so far, before any collective."""
        self._check()

    def rows_at(self, step: int) -> StepRows:
        """Return this rank's rows of a step."""
        return self._plan.at(step).for_rank(self._rank, self._world_size)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps ``start`` .. ``stop - 1`` in order.

        What a thread raises is raised here, at its step. Leaving the loop early, by ``break`` or an exception, ends and
        joins the threads.
        """
        pool = self._new_pool()
        steps = iter(range(start, stop))
        with ThreadPoolExecutor(self._threads, thread_name_prefix="wellstream-loader") as threads:
            pending: deque[Future[tuple[Batch, _Buffer | None]]] = deque()
            try:
                pending.extend(
                    threads.submit(self._prepare, step, stop, pool) for step in islice(steps, self._prefetch)
                )
                while pending:
                    batch, buffer = self._waited(pending.popleft())
                    pending.extend(threads.submit(self._prepare, step, stop, pool) for step in islice(steps, 1))
                    if buffer is not None:
                        batch = self._to_device(batch, buffer, pool)
                    yield batch
                    # While the next one is waited for, only the caller decides whether this one lives on.
                    del batch
            finally:
                for future in pending:
                    future.cancel()

    def _waited(self, future: Future[tuple[Batch, _Buffer | None]]) -> tuple[Batch, _Buffer | None]:
        began = time.perf_counter()
        ready = future.result()
        self.wait_s += time.perf_counter() - began
        return ready

    def _prepare(self, step: int, stop: int, pool: _Pool) -> tuple[Batch, _Buffer | None]:
        """In a thread: a finished batch, or for CUDA a batch of stored tiles in the buffer that has to be copied."""
        if self._upcoming is not None:
            self._upcoming(step, stop)
        rows = self.rows_at(step)
        buffer = pool.get()
        try:
            if buffer.copied is not None:
                buffer.copied.synchronize()
            self._store.gather(rows.tiles.ravel(), buffer.tiles.numpy())
            batch = self._labelled(rows, buffer.tiles)
            if self._on_cuda:
                return batch, buffer
            finished = replace(batch, tiles=self._transformed(buffer.tiles, step))
        except BaseException:
            pool.put(buffer)
            raise
        # Scaling has made a new tensor: the buffer is free for the next step.
        pool.put(buffer)
        return finished, None

    def _to_device(self, batch: Batch, buffer: _Buffer, pool: _Pool) -> Batch:
        """Queue the copy of stored integers and what follows it; the buffer is free once the copy has happened."""
        tiles = buffer.tiles.to(self._device, non_blocking=True)
        buffer.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        buffer.copied.record()
        pool.put(buffer)
        return replace(
            batch,
            tiles=self._transformed(tiles, batch.step),
            bags=batch.bags.to(self._device, non_blocking=True),
            tile_ids=batch.tile_ids.to(self._device, non_blocking=True),
            weights=batch.weights.to(self._device, non_blocking=True),
            labels={name: values.to(self._device, non_blocking=True) for name, values in batch.labels.items()},
        )

    def _transformed(self, stored: torch.Tensor, step: int) -> torch.Tensor:
        """(K * N, ...) stored values -> (K, N, ...) float32, newly allocated."""
        n = self._plan.tiles_per_row
        if len(self._store.sample_shape) == 1:
            return as_float(stored).view(-1, n, *stored.shape[1:])
        tiles = stored
        if self._augment is not None:
            first = self._rank * len(stored)
            positions = np.arange(first, first + len(stored))
            tiles = augment(tiles, positions, augment_key(self._seed, step), self._augment)
        tiles = as_float(tiles) if self._scale is None else scale(tiles, self._scale)
        if self._channels_last:
            tiles = tiles.contiguous(memory_format=torch.channels_last)
        # Splitting the first axis is a view in either memory format.
        return tiles.view(-1, n, *tiles.shape[1:])

    def _labelled(self, rows: StepRows, tiles: torch.Tensor) -> Batch:
        bags, tile_ids = torch.from_numpy(rows.bags), torch.from_numpy(rows.tiles)
        found = {name: table.values[bags if table.per == "bag" else tile_ids] for name, table in self._labels.items()}
        if self._on_cuda:
            # A copy from pageable memory would wait for the device.
            found = {name: values.pin_memory() for name, values in found.items()}
        return Batch(
            tiles=tiles,
            bags=bags,
            tile_ids=tile_ids,
            weights=torch.from_numpy(rows.weights),
            labels=found,
            step=rows.step,
            epoch=rows.epoch,
        )

    def _new_pool(self) -> _Pool:
        share = -(-self._plan.rows // self._world_size) * self._plan.tiles_per_row
        dtype: torch.dtype = getattr(torch, self._store.dtype.name)
        pool: _Pool = queue.SimpleQueue()
        for _ in range(self._prefetch + 1 if self._on_cuda else self._threads):
            tiles = torch.empty((share, *self._store.sample_shape), dtype=dtype, pin_memory=self._pin)
            pool.put(_Buffer(tiles=tiles))
        return pool

    def _check(self) -> None:
        vectors = len(self._store.sample_shape) == 1
        if vectors and (self._scale is not None or self._augment is not None or self._channels_last):
            raise RunError(
                "data.embeddings: cached embeddings are vectors, so data.scale, data.augment and train.channels_last "
                "do not apply; leave them out, or leave out data.embeddings to train on pixels"
            )
        for name, table in self._labels.items():
            if table.per == "tile" and len(table.values) != len(self._store):
                raise RunError(
                    f"label '{name}': expected {len(self._store)} rows, one a tile, found {len(table.values)}"
                )
