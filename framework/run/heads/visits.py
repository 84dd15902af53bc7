"""The steps of a plan as models see them: vectors of the bags of each step, and what the audit will say of it."""

from __future__ import annotations

import numpy as np
import torch

from framework.data.permutation import I64, U64, hash_u64
from framework.data.plan import BagsPlan
from framework.run.heads.vectors import BagVectors


class Visits:
    """Steps of a plan, in order; models with the same training bags share one.

    Attributes:
        tiles: of each bag in a step.
        rows: int64 (steps,), rows that counted in each step so far.
        digests: uint64 (steps,), their digests.
    """

    def __init__(self, plan: BagsPlan, vectors: BagVectors, steps: int) -> None:
        self._plan, self._vectors = plan, vectors
        self.tiles = plan.tiles_per_row
        self._epoch = -1
        self._order: I64 = np.empty(0, dtype=np.int64)
        self._seen = torch.empty(0)
        self.rows: I64 = np.zeros(steps, dtype=np.int64)
        self.digests: U64 = np.zeros(steps, dtype=np.uint64)

    def at(self, step: int) -> tuple[torch.Tensor, I64]:
        """Return the vectors (k, D) of the bags of a step, and the bags (k,)."""
        epoch, inside = divmod(step, self._plan.steps_per_epoch)
        if epoch != self._epoch:
            self._begin(epoch)
        mine = slice(inside * self._plan.rows, (inside + 1) * self._plan.rows)
        return self._seen[mine], self._order[mine]

    def _begin(self, epoch: int) -> None:
        self._epoch, self._order = epoch, self._plan.order(epoch)
        self._seen, tiles = self._vectors.of(epoch, self._order)
        first = epoch * self._plan.steps_per_epoch
        steps = first + np.arange(len(self._order)) // self._plan.rows
        starts = np.arange(0, len(self._order), self._plan.rows)
        digests = np.add.reduceat(hash_u64(steps, self._order, tiles), starts)
        counts = np.diff([*starts, len(self._order)])
        here = slice(first, min(first + len(starts), len(self.rows)))
        self.rows[here] = counts[: here.stop - first]
        self.digests[here] = digests[: here.stop - first]
