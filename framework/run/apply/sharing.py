"""Divides the steps of a pass over data among ranks: each computes whole steps, rank 0 gets all results in order.

Rank r of N computes steps r, r + N, ... So a step is the same computation on any rank, and the files that rank 0 writes
do not depend on the number of ranks. A single rank computes everything, without communication.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch

from framework.data.batch import Batch
from framework.data.plan import Plan
from framework.data.store import Store
from framework.distributed import Ranks
from framework.progress import OnCount
from framework.run.train.opened import Application

STEPS_PER_ROUND = 4
"""Steps of a rank between two meetings, so that a slow step of one rank does not hold up each step of the others."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What is walked over once.

    Attributes:
        plans: plans of equally many steps; a step is a batch of each.
        store: where their tiles come from; None: the pixels.
    """

    plans: tuple[Plan, ...]
    store: Store | None = None

    @property
    def steps(self) -> int:
        """How many there are."""
        return self.plans[0].steps_per_epoch


def computed(
    on: Application, walks: Sequence[Walk], queue: Callable[..., Callable[[], T]], progress: OnCount | None = None
) -> Iterator[tuple[int, T]]:
    """Yield (number of the walk, what was made) of every step of all walks in order on rank 0, nothing on the others.

    All ranks of ``on`` make this call and exhaust the iterator.

    Args:
        on: the run on its data.
        walks: done one after another.
        queue: called with the number of the walk and the batches of a step; starts the computation and returns a call
            that reads its result, as Python objects of the CPU. That call is made when the next step has been queued,
            so that a GPU always has work.
        progress: called on rank 0 with (steps done by all, about; their total).
    """
    ranks, total = on.ranks, sum(walk.steps for walk in walks)
    mine = _mine(on, walks, queue, total, progress)
    if ranks.world_size == 1:
        yield from mine
        return
    world = ranks.world_size
    for first in range(0, total, world * STEPS_PER_ROUND):
        steps = range(first, min(first + world * STEPS_PER_ROUND, total))
        made = ranks.to_main(list(islice(mine, len(steps[ranks.rank :: world]))))
        if made:
            yield from (made[place % world][place // world] for place in range(len(steps)))


def _mine(
    on: Application,
    walks: Sequence[Walk],
    queue: Callable[..., Callable[[], T]],
    total: int,
    progress: OnCount | None,
) -> Iterator[tuple[int, T]]:
    """Yield what this rank makes."""
    waiting: deque[tuple[int, Callable[[], T]]] = deque()
    before = done = 0
    for number, walk in enumerate(walks):
        first = (on.ranks.rank - before) % on.ranks.world_size
        before += walk.steps
        for batches in zip(*(on.batches(plan, walk.store, first) for plan in walk.plans), strict=True):
            on.ranks.at(f"step {batches[0].step + 1} of {walk.steps}")
            waiting.append((number, queue(number, *batches)))
            # While the next batch is waited for, nobody needs this one.
            del batches
            while len(waiting) > 1:
                yield _read(*waiting.popleft())
            done += on.ranks.world_size
            if progress and on.ranks.is_main:
                progress(min(done, total), total)
    while waiting:
        yield _read(*waiting.popleft())
    on.ranks.at("writing")


def _read(number: int, reading: Callable[[], T]) -> tuple[int, T]:
    return number, reading()


def on_rank_0(ranks: Ranks, made: Iterator[T], act: Callable[[Iterator[T]], R]) -> R:
    """Let rank 0 act on what ``computed`` yields there while the others compute, and give every rank its result."""
    result = act(made) if ranks.is_main else None
    if not ranks.is_main:
        deque(made, maxlen=0)
    found: R = ranks.gather_objects(result)[0]
    ranks.rest()
    return found


def by_rank_0(ranks: Ranks | None, act: Callable[[], R]) -> R:
    """Let rank 0 act, and give every rank its result or its error; one process alone raises what ``act`` raises."""
    return act() if ranks is None or ranks.world_size == 1 else ranks.on_main(act)


def counted_rows(batch: Batch) -> torch.Tensor:
    """Return which rows (K,) of a batch count, as bool on the CPU."""
    return batch.rows_on_host()[2] > 0


def write_beside(blocks: Iterable[T], write: Callable[[T], None]) -> None:
    """Write blocks in their order in a thread, one at a time, while the next one is made.

    Raises:
        Exception: what ``write`` raised, before the next block but one is asked for.
    """
    with ThreadPoolExecutor(1, "wellstream-writer") as thread:
        pending: Future[None] | None = None
        for block in blocks:
            if pending is not None:
                pending.result()
            pending = thread.submit(write, block)
            del block
        if pending is not None:
            pending.result()
