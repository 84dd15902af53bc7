"""The steps of plans as models see them, a block of steps at a time, and what the audit will say of each."""

from __future__ import annotations

from collections.abc import Sequence
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
    """

    vectors: torch.Tensor
    bags: torch.Tensor
    lengths: tuple[int, ...]

    @property
    def padded(self) -> bool:
        """Whether any row is padding."""
        return min(self.lengths) < self.bags.shape[1]


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


class Course:
    """Steps of several models side by side.

    Args:
        visits: visits of each model.
        vectors: vectors of their bags.
        offsets: offsets of each model, the row of the labels at which those of its target begin.
        nobody: the row of the labels that belongs to no bag.
        device: where steps are wanted.
    """

    def __init__(
        self, visits: Sequence[Visits], vectors: BagVectors, offsets: Sequence[int], nobody: int, device: torch.device
    ) -> None:
        self._vectors, self._nobody, self._device = vectors, nobody, device
        self._steps = len(visits[0].rows)
        self._take(list(visits), np.asarray(offsets, dtype=np.int64))

    def at(self, step: int) -> Seen:
        """Return what the models see in a step; steps come in order."""
        if not self._first <= step < self._first + len(self._lengths):
            self._load(step)
        place = step - self._first
        longest = int(self._lengths[place].max())
        vectors = self._seen[place, :, :longest]
        return Seen(
            vectors=vectors if self._is_each_its_own else vectors.index_select(0, self._which),
            bags=self._bags[place, :, :longest],
            lengths=tuple(self._lengths[place, self._place_of].tolist()),
        )

    def keep(self, models: Sequence[int]) -> None:
        """Go on with these models alone."""
        self._take([self._visits[model] for model in models], self._offsets[list(models)])

    def _take(self, visits: list[Visits], offsets: I64) -> None:
        self._visits, self._offsets = visits, offsets
        self._distinct = list({id(each): each for each in visits}.values())
        places = {id(each): place for place, each in enumerate(self._distinct)}
        self._place_of = [places[id(each)] for each in visits]
        self._which = torch.tensor(self._place_of, dtype=torch.int64, device=self._device)
        self._is_each_its_own = len(self._distinct) == len(visits)
        self._first, self._lengths = 0, np.empty((0, 0), dtype=np.int64)

    def _load(self, step: int) -> None:
        """Make the block of steps that begins with ``step``."""
        width = self._distinct[0].plan.rows
        a_step = max(1, len(self._distinct) * width * self._vectors.width * 4)
        steps = max(1, min(_MOST_STEPS, _BLOCK_BYTES // a_step, self._steps - step))
        blocks = [visits.block(step, steps) for visits in self._distinct]
        bags, epochs = (np.stack(each, axis=1) for each in zip(*blocks, strict=True))
        self._seen = torch.zeros(*bags.shape, self._vectors.width, device=self._device)
        digests = np.zeros(bags.shape, dtype=np.uint64)
        for epoch in np.unique(epochs):
            self._fill(int(epoch), np.flatnonzero(epochs == epoch), bags, digests)
        there = bags != NOBODY
        self._first, self._lengths = step, there.sum(axis=2)
        self._account(step, bags, digests, there)
        rows = np.where(there[:, self._place_of], bags[:, self._place_of] + self._offsets[:, None], self._nobody)
        self._bags = torch.from_numpy(rows).to(self._device)

    def _fill(self, epoch: int, rows: I64, bags: I64, digests: U64) -> None:
        """Put in what the bags of an epoch are, in these rows of the block (steps x visits, K)."""
        mine = bags.reshape(-1, bags.shape[2])[rows]
        there = mine != NOBODY
        places = (rows[:, None] * bags.shape[2] + np.arange(bags.shape[2]))[there]
        vectors, found = self._vectors.of(epoch, mine[there])
        self._seen.view(-1, vectors.shape[1]).index_copy_(0, torch.from_numpy(places).to(self._device), vectors)
        digests.reshape(-1)[places] = found

    def _account(self, step: int, bags: I64, digests: U64, there: I64) -> None:
        """Note rows and digests of the block's steps."""
        steps = np.arange(step, step + len(bags))
        each = np.where(there, hash_u64(steps[:, None, None], bags, digests), np.uint64(0)).sum(axis=2, dtype=np.uint64)
        for place, visits in enumerate(self._distinct):
            visits.rows[steps] = self._lengths[:, place]
            visits.digests[steps] = each[:, place]
