"""The steps of plans as models see them, a block of steps at a time, and what the audit will say of each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from framework.data.permutation import I64, U64, hash_u64
from framework.data.plan import BagsPlan
from framework.run.heads.vectors import BagVectors

_BLOCK_BYTES = 1 << 25
"""Vectors of a block: what a step takes out of it was written a moment ago and is still in the caches."""
_MOST_STEPS = 64
NOBODY = -1
"""Stands for a bag where a step has no more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What models see at once.

    Attributes:
        vectors: (M, K, D).
        bags: (M, K) rows of the labels; the one of no bag where a row is padding.
        lengths: lengths of each model, how many rows are not padding.
        there: float32 (M, K, 1), 0 where a row is padding, else 1; None where no row is.
    """

    vectors: torch.Tensor
    bags: torch.Tensor
    lengths: tuple[int, ...]
    there: torch.Tensor | None


class Visits:
    """Steps of a plan; models with the same training bags share one.

    Attributes:
        plan: which bags each step visits.
        rows: int64 (steps,), rows that counted in each step so far.
        digests: uint64 (steps,), their digests.
    """

    def __init__(self, plan: BagsPlan, steps: int) -> None:
        self.plan = plan
        self.rows: I64 = np.zeros(steps, dtype=np.int64)
        self.digests: U64 = np.zeros(steps, dtype=np.uint64)

    @property
    def tiles(self) -> int:
        """Tiles of each bag in a step."""
        return self.plan.tiles_per_row

    def block(self, step: int, steps: int) -> tuple[I64, I64]:
        """Return the bags (S, K) of some steps, ``NOBODY`` where there are no more, and the epoch (S,) of each."""
        each = self.plan.steps_per_epoch
        first, stop = step // each, (step + steps - 1) // each + 1
        orders = self.plan.orders(first, stop)
        padding = ((0, 0), (0, each * self.plan.rows - orders.shape[1]))
        bags = np.pad(orders, padding, constant_values=NOBODY).reshape(-1, self.plan.rows)
        inside = slice(step - first * each, step - first * each + steps)
        return bags[inside], np.arange(step, step + steps) // each


@dataclass(frozen=True, kw_only=True, eq=False)
class _Block:
    """Some steps of all visits, S steps of V visits and M models.

    Attributes:
        first: its first step.
        vectors: (S, V, K, D).
        bags: (S, M, K) rows of the labels.
        there: float32 (S, M, K, 1).
        lengths: int64 (S, V).
        digests: uint64 (S, V), for the audit.
    """

    first: int
    vectors: torch.Tensor
    bags: torch.Tensor
    there: torch.Tensor
    lengths: I64
    digests: U64

    @property
    def stop(self) -> int:
        return self.first + len(self.lengths)


class Course:
    """Steps of several models side by side.

    While models make the steps of a block, another thread makes the next block.

    Args:
        visits: visits of each model.
        vectors: vectors of their bags; only ``ahead`` asks for them.
        offsets: offsets of each model, the row of the labels at which those of its target begin.
        nobody: the row of the labels that belongs to no bag.
        device: where steps are wanted.
        ahead: one thread, which all courses of the same ``vectors`` share.
    """

    def __init__(
        self,
        visits: Sequence[Visits],
        vectors: BagVectors,
        offsets: Sequence[int],
        nobody: int,
        device: torch.device,
        ahead: ThreadPoolExecutor,
    ) -> None:
        self._vectors, self._nobody, self._device, self._ahead = vectors, nobody, device, ahead
        self._steps = len(visits[0].rows)
        self._block: _Block | None = None
        self._next: Future[_Block] | None = None
        self._unused: list[torch.Tensor] = []
        self._take(list(visits), np.asarray(offsets, dtype=np.int64))

    def at(self, step: int) -> Seen:
        """Return what the models see in a step; steps come in order."""
        block = self._block
        if block is None or step >= block.stop:
            block = self._following(step)
        place = step - block.first
        lengths = block.lengths[place]
        longest = int(lengths.max())
        vectors = block.vectors[place, :, :longest]
        return Seen(
            vectors=vectors if self._is_each_its_own else vectors.index_select(0, self._which),
            bags=block.bags[place, :, :longest],
            lengths=tuple(lengths[self._place_of].tolist()),
            there=None if lengths.min() == longest else block.there[place, :, :longest],
        )

    def keep(self, models: Sequence[int]) -> None:
        """Go on with these models alone."""
        if self._next is not None:
            self._next.result()  # it may not ask for vectors any more when others do
        self._block = self._next = None
        self._unused.clear()
        self._take([self._visits[model] for model in models], self._offsets[list(models)])

    def _take(self, visits: list[Visits], offsets: I64) -> None:
        self._visits, self._offsets = visits, offsets
        self._distinct = list({id(each): each for each in visits}.values())
        places = {id(each): place for place, each in enumerate(self._distinct)}
        self._place_of = [places[id(each)] for each in visits]
        self._which = torch.tensor(self._place_of, dtype=torch.int64, device=self._device)
        self._is_each_its_own = len(self._distinct) == len(visits)

    def _following(self, step: int) -> _Block:
        """Return the block that begins with ``step``, and have the one after it begun."""
        if self._block is not None:
            self._unused.append(self._block.vectors)
        block = (self._next or self._begun(step)).result()
        self._block, self._next = block, self._begun(block.stop) if block.stop < self._steps else None
        for place, visits in enumerate(self._distinct):
            visits.rows[block.first : block.stop] = block.lengths[:, place]
            visits.digests[block.first : block.stop] = block.digests[:, place]
        return block

    def _begun(self, step: int) -> Future[_Block]:
        return self._ahead.submit(self._made, step, self._unused.pop() if self._unused else None)

    def _made(self, step: int, memory: torch.Tensor | None) -> _Block:
        """Make the block of steps that begins with ``step``, in ``memory`` of an earlier one if it has the shape."""
        width = self._distinct[0].plan.rows
        a_step = max(1, len(self._distinct) * width * self._vectors.width * 4)
        steps = max(1, min(_MOST_STEPS, _BLOCK_BYTES // a_step, self._steps - step))
        blocks = [visits.block(step, steps) for visits in self._distinct]
        bags, epochs = (np.stack(each, axis=1) for each in zip(*blocks, strict=True))
        shape = (*bags.shape, self._vectors.width)
        if memory is None or memory.shape != shape:
            memory = torch.empty(shape, device=self._device)
        there, digests = bags != NOBODY, np.zeros(bags.shape, dtype=np.uint64)
        memory[torch.from_numpy(~there).to(self._device)] = 0.0
        for epoch in np.unique(epochs):
            self._fill(memory, int(epoch), np.flatnonzero(epochs == epoch), bags, digests)
        rows = np.where(there[:, self._place_of], bags[:, self._place_of] + self._offsets[:, None], self._nobody)
        known = there[:, self._place_of, :, None].astype(np.float32)
        numbers = np.arange(step, step + steps)[:, None, None]
        each = np.where(there, hash_u64(numbers, bags, digests), np.uint64(0))
        return _Block(
            first=step,
            vectors=memory,
            bags=torch.from_numpy(rows).to(self._device),
            there=torch.from_numpy(known).to(self._device),
            lengths=there.sum(axis=2),
            digests=each.sum(axis=2, dtype=np.uint64),
        )

    def _fill(self, memory: torch.Tensor, epoch: int, rows: I64, bags: I64, digests: U64) -> None:
        """Put in what the bags of an epoch are, in these rows of the block (steps x visits, K)."""
        mine = bags.reshape(-1, bags.shape[2])[rows]
        there = mine != NOBODY
        places = (rows[:, None] * bags.shape[2] + np.arange(bags.shape[2]))[there]
        vectors, found = self._vectors.of(epoch, mine[there])
        memory.view(-1, vectors.shape[1]).index_copy_(0, torch.from_numpy(places).to(self._device), vectors)
        digests.reshape(-1)[places] = found
