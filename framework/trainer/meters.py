"""Averages over a log interval, and where its time went."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from framework.distributed import Ranks
from framework.objectives import Losses


class LossMeter:
    """Sums and counts over steps, added up on the device and divided only when read."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], torch.Tensor] = {}

    def add(self, losses: Losses) -> None:
        """Add one step's sums of this rank; a few kernels, however many parts there are."""
        named = {"loss": (losses.total, losses.count), **losses.parts}
        both = [value.detach() for pair in named.values() for value in pair]
        if len({value.dtype for value in both}) > 1:
            both = [value.double() for value in both]
        pairs = torch.stack(both).double().view(-1, 2)
        names = tuple(named)
        self._sums[names] = self._sums[names] + pairs if names in self._sums else pairs

    def read(self, ranks: Ranks) -> dict[str, float]:
        """Return means over all ranks and steps since the last read, NaN where nothing counted; a collective."""
        if not self._sums:
            return {}
        sums: dict[str, torch.Tensor] = {}
        for together, pairs in self._sums.items():
            for name, pair in zip(together, pairs, strict=True):
                sums[name] = sums[name] + pair if name in sums else pair
        with ranks.meeting("losses"):
            totals = ranks.sum(torch.stack(list(sums.values()))).tolist()
        names = list(sums)
        self._sums.clear()
        return {name: total / count if count else math.nan for name, (total, count) in zip(names, totals, strict=True)}


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Where time went.

    Attributes:
        tiles_per_s: counted tiles of all ranks per second.
        wait_share: the largest share of its time that a rank waited for data, [0, 1].
        wait_rank: that rank.
        wait_shares: that share of every rank, in rank order; empty where it is not known.
        slow_rank: the rank that took longest outside of exchanges with the others.
        slow_share: by which share of its time it is slower than the mean rank, [0, 1]; the others wait that long.
    """

    tiles_per_s: float
    wait_share: float
    wait_rank: int
    wait_shares: tuple[float, ...] = ()
    slow_rank: int = 0
    slow_share: float = 0.0

    def values(self) -> dict[str, float]:
        """Return the values for the metrics; comparisons of ranks only if there are several."""
        found = {"tiles_per_s": self.tiles_per_s, "wait_share": self.wait_share, "wait_rank": self.wait_rank}
        if len(self.wait_shares) > 1:
            found |= {"slow_rank": self.slow_rank, "slow_share": self.slow_share}
            found |= {f"wait_share_rank{rank}": share for rank, share in enumerate(self.wait_shares)}
        return found


class Clock:
    """Seconds of training steps and, among them, seconds waiting for data.

    Waiting is measured on each rank before any collective. After a collective all ranks have waited for the slowest, so
    it could not be told which one that was. Logging, validation and checkpoints are not counted.
    """

    def __init__(self) -> None:
        self.reset()

    def add(self, seconds: float, waited_s: float, tiles: int, met_s: float = 0.0) -> None:
        """Add a step of this rank: how long it took, and the tiles that counted.

        Within that time are the wait for data, and the time ``met_s`` of exchanges with other ranks.
        """
        self.seconds += seconds
        self.own_s += seconds - met_s
        self.waited_s += waited_s
        self.tiles += tiles
        self.steps += 1

    def read(self, ranks: Ranks) -> Speed | None:
        """Return the speed since the last reset, None before the first step; a collective."""
        mine = (self.seconds, self.waited_s, self.own_s, float(self.tiles))
        seconds, waited, own, tiles = zip(*ranks.gather_objects(mine), strict=True)
        if min(seconds) <= 0:
            return None
        shares = tuple(min(1.0, wait / whole) for wait, whole in zip(waited, seconds, strict=True))
        slow = own.index(max(own))
        return Speed(
            tiles_per_s=sum(tiles) / max(seconds),
            wait_share=max(shares),
            wait_rank=shares.index(max(shares)),
            wait_shares=shares,
            slow_rank=slow,
            slow_share=(own[slow] - sum(own) / len(own)) / seconds[slow],
        )

    def reset(self) -> None:
        """Forget everything measured."""
        self.seconds, self.waited_s, self.own_s, self.tiles, self.steps = 0.0, 0.0, 0.0, 0, 0
