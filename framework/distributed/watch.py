"""Who holds the others up: a thread beside each rank that ends it, with a name and a stack, when it does not move.

A collective waits for its slowest member, and no error says who that was. So each rank knows what it is doing since
when, and whether it waits for others there. One that works for too long names itself; one that waits for too long
gives the others a moment to do so first.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from framework.distributed.failures import REPORTS_VARIABLE, Failure, tell
from framework.exit_codes import EXIT_INTERRUPTED, EXIT_STALLED

_POLL_S = 0.5
_MARGIN_S = 4.0
"""What a waiting rank leaves the others to name themselves."""
_FRAMES = 15
_THREADS = "wellstream"


@dataclass(frozen=True, eq=False, kw_only=True)
class Mark:
    """What a rank is doing: ``what`` for people, how long it may take, and the setting that says so."""

    what: str
    allowed_s: float
    setting: str


class Watch:
    """Watches the thread that made it.

    Args:
        rank: rank of this process.
        launcher: process id of the launcher; this process ends when that is gone. None does not look.
        end: ends the process with an exit code.
    """

    def __init__(self, rank: int, launcher: int | None, end: Callable[[int], object] = os._exit) -> None:
        self._rank, self._launcher, self._end = rank, launcher, end
        self._watched = threading.get_ident()
        self._mark: Mark | None = None
        self._waits: str | None = None
        self.met_s = 0.0
        """Seconds spent in ``waiting``."""
        self._moves = 0
        self._over = threading.Event()
        self._stacks = _stack_on_request(rank)
        threading.Thread(target=self._look, name=f"{_THREADS}-watch", daemon=True).start()

    def at(self, mark: Mark | None) -> None:
        """Note what begins now; None is not timed."""
        self._mark = mark
        self._moves += 1

    @contextmanager
    def waiting(self, name: str) -> Iterator[None]:
        """Note that this rank waits for the others in ``name``."""
        self._waits, began = name, time.perf_counter()
        try:
            yield
        finally:
            self._waits = None
            self.met_s += time.perf_counter() - began
            self._moves += 1

    def close(self) -> None:
        """Stop watching."""
        self._over.set()
        if self._stacks is not None:
            faulthandler.unregister(signal.SIGUSR1)
            self._stacks.close()

    def _look(self) -> None:
        """Add up the time without a move; time in which this process itself was halted is not in it."""
        last, still_s, before = -1, 0.0, time.monotonic()
        while not self._over.wait(_POLL_S):
            now = time.monotonic()
            passed, before = min(now - before, 2 * _POLL_S), now
            if self._launcher is not None and os.getppid() != self._launcher:
                self._end(EXIT_INTERRUPTED)
                return
            mark, waits, moves = self._mark, self._waits, self._moves
            still_s = still_s + passed if moves == last else 0.0
            last = moves
            if mark is not None and still_s > mark.allowed_s + (_MARGIN_S if waits else 0.0):
                tell(self._failure(mark, waits))
                self._end(EXIT_STALLED)
                return

    def _failure(self, mark: Mark, waits: str | None) -> Failure:
        limit = f"{mark.allowed_s:g} s ({mark.setting})"
        return Failure(
            rank=self._rank,
            kind="waited" if waits else "stalled",
            message=f"waited more than {limit} for another rank in {mark.what}, which does not answer"
            if waits
            else f"has not moved for {limit} in {mark.what}",
            code=EXIT_STALLED,
            when=time.time(),
            trace=stacks(self._watched),
        )


def stacks(main: int) -> str:
    """Return where thread ``main`` and the threads of loaders are, innermost call first, one call per line."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    lines: list[str] = []
    for ident, frame in sorted(sys._current_frames().items(), key=lambda item: item[0] != main):
        name = names.get(ident) or ""
        if ident == main:
            lines += _calls(frame)
        elif name.startswith(_THREADS) and ident != threading.get_ident():
            lines += [f"  thread {name}:", *_calls(frame)]
    return "\n".join(lines) + "\n"


def _calls(frame: FrameType) -> list[str]:
    calls = list(reversed(traceback.extract_stack(frame)))[:_FRAMES]
    return [f"  at {call.filename}:{call.lineno} in {call.name}" for call in calls]


def _stack_on_request(rank: int) -> IO[str] | None:
    """Let SIGUSR1 write this process's stack for the launcher, even while it runs no Python code."""
    folder = os.environ.get(REPORTS_VARIABLE)
    if folder is None or not hasattr(faulthandler, "register"):
        return None
    file = stack_file(Path(folder), rank).open("w", encoding="utf-8")
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=False)
    return file


def stack_file(folder: Path, rank: int) -> Path:
    """Return where a rank that is asked by SIGUSR1 writes its stack."""
    return folder / f"rank-{rank}.stack"
