"""Fetches remote shards before the steps that need them, so that a gather rarely waits.

The plan is arithmetic, so the shards of any coming step are known now. Threads ask the cache for them; the gather asks
again, and finds them there or under way.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

import numpy as np

from framework.data.dataset import Dataset
from framework.data.plan import StepRows
from framework.errors import DatasetError

log = logging.getLogger(__name__)

_STEPS_AHEAD = 32
_STEPS_BACK = 4
"""A loader's threads may begin their steps out of order by so many."""


class Prefetcher:
    """Called with each step that a loader begins; keeps the shards of the next ones coming.

    Looks at most 32 steps ahead, and no further than this process' share of the cache reaches.

    Args:
        dataset: a remote one.
        rows_at: step -> this rank's rows.
    """

    def __init__(self, dataset: Dataset, rows_at: Callable[[int], StepRows]) -> None:
        if dataset.remote is None:
            raise ValueError("a local dataset has nothing to fetch")
        self._remote, self._index, self._rows_at = dataset.remote, dataset.index, rows_at
        self._sizes = np.asarray([record.bytes for record in dataset.manifest.shards], dtype=np.int64)
        self._queue: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._asked: dict[int, tuple[int, ...]] = {}
        self._waiting: set[int] = set()
        self._threads = 0

    def __call__(self, step: int, stop: int) -> None:
        """Ask for the shards of ``step`` and those after it, before ``stop``; returns at once."""
        with self._lock:
            # A loader that begins again, as at each evaluation, asks again: shards may have been evicted since.
            is_again = step < min(self._asked, default=0) - _STEPS_BACK
            kept = {} if is_again else self._asked
            self._asked = {known: shards for known, shards in kept.items() if step <= known < stop}
            seen: set[int] = set()
            for ahead in range(step, min(step + _STEPS_AHEAD, stop)):
                is_new = ahead not in self._asked
                shards = self._shards_of(ahead) if is_new else self._asked[ahead]
                seen.update(shards)
                if ahead > step and int(self._sizes[list(seen)].sum()) > self._remote.share:
                    return
                if is_new:
                    self._asked[ahead] = shards
                    self._ask(shards)

    def _shards_of(self, step: int) -> tuple[int, ...]:
        return tuple(np.unique(self._index.shard[self._rows_at(step).tiles]).tolist())

    def _ask(self, shards: tuple[int, ...]) -> None:
        for shard in shards:
            if shard not in self._waiting:
                self._waiting.add(shard)
                self._queue.put(shard)
        while self._threads < min(self._remote.connections, len(self._waiting)):
            self._threads += 1
            # A daemon: what a killed download leaves is removed by the next one, so nothing needs to wait for it.
            threading.Thread(target=self._work, name="wellstream-prefetch", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._queue.empty():
                    self._threads -= 1
                    return
                shard = self._queue.get()
            try:
                self._remote.fetch_shard(shard)
            except DatasetError as error:
                # The gather that needs this shard meets the same and says so to the user, at its step.
                log.debug("not prefetched: %s", error)
            finally:
                with self._lock:
                    self._waiting.discard(shard)
