"""Work cut into two halves, done one after the other and side by side in two processes: what a second core adds.

Two cores seldom do twice the work of one: they share the memory and the disk, and often the processor's own units. A
target for two workers is read beside what the same machine gains where the halves share nothing else.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.harness import Arm, Costs, Finding

_IN_CACHE = 2_000


@dataclass(frozen=True, kw_only=True)
class Halves:
    """One piece of work, cut in two.

    Attributes:
        name: as printed.
        function: does a half; importable, since it runs in another process.
        jobs: its arguments for each half.
        before: called before each run, outside the clock.
    """

    name: str
    function: Callable[..., None]
    jobs: tuple[tuple[Any, ...], tuple[Any, ...]]
    before: Callable[[], object] | None = None

    @property
    def in_turn(self) -> str:
        """Name of the arm that does one half after the other."""
        return f"{self.name}, two halves in turn"

    @property
    def beside(self) -> str:
        """Name of the arm that does both at once."""
        return f"{self.name}, two halves side by side"

    def arms(self, pool: ProcessPoolExecutor) -> list[Arm]:
        """Return both arms; ``pool`` has two processes."""

        def in_turn() -> None:
            for job in self.jobs:
                pool.submit(self.function, *job).result()

        def beside() -> None:
            for half in [pool.submit(self.function, *job) for job in self.jobs]:
                half.result()

        return [
            Arm(name=self.in_turn, work=in_turn, before=self.before),
            Arm(name=self.beside, work=beside, before=self.before),
        ]

    def gain(self, costs: Costs) -> Finding:
        """How many times as fast it is side by side: the median over repetitions."""
        pairs = zip(costs.seconds[self.in_turn], costs.seconds[self.beside], strict=True)
        gain = statistics.median(alone / both for alone, both in pairs)
        return Finding(name=f"a second process: {self.name}", value=gain, unit="x")


@contextmanager
def two_processes() -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of two processes that have started."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for started in [pool.submit(arithmetic, 1) for _ in range(2)]:
            started.result()
        yield pool


def arithmetic(rounds: int) -> None:
    """Multiply numbers that stay in the core's own cache: work that touches neither memory nor disk."""
    values = np.ones(_IN_CACHE)
    for _ in range(rounds):
        np.multiply(values, 1.0000001, out=values)
