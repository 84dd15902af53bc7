"""How far work is: the callbacks that every long step takes, so that one bar can be given to any of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, done, total): what is being done, how many units of it are done, and how many there are."""


def untold(stage: str, done: int, total: int) -> None:
    """Tell nobody: an ``OnProgress`` for whoever asked for none."""


OnCount: TypeAlias = Callable[[int, int], None]
"""Called with (done, total), where there is one stage."""

LINE_EVERY_S = 30.0
"""Seconds between lines about a long step where nobody sees a bar."""


class Pace:
    """Tells when a line about a stage is due, and how long the rest of it takes at the pace so far.

    Args:
        done: units that were done before it began.
        every_s: seconds between lines.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self, done: int = 0, every_s: float = LINE_EVERY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first, self._every_s, self._clock = done, every_s, clock
        self._began = self._said = clock()

    def due(self, done: int, total: int) -> float | None:
        """Return the seconds that the rest may take where a line is due, else None."""
        now = self._clock()
        if done <= self._first or done >= total or now - self._said < self._every_s:
            return None
        self._said = now
        return (total - done) * (now - self._began) / (done - self._first)

    def said(self) -> None:
        """Count the seconds to the next line from now on: there has been one."""
        self._said = self._clock()
