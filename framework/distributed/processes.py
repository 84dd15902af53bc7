"""Starting the ranks of a run on this machine, and saying in one sentence what became of them.

Ranks meet through a file in a folder that only this user can read, and talk over the loopback interface; nothing can be
reached from another machine. They end with this process, whatever ends it. A run of several machines is the exception:
its ranks meet in the store of ``nodes`` and listen on the interface that the machines share.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from framework.distributed.failures import REPORTS_VARIABLE, Failure, notes
from framework.distributed.loopback import loopback_only
from framework.distributed.neighbours import Neighbours
from framework.distributed.nodes import Joined, Meeting, join
from framework.distributed.ranks import RENDEZVOUS_VARIABLE
from framework.distributed.verdict import Ending, killed, verdict
from framework.distributed.watch import stack_file
from framework.errors import ConfigError
from framework.exit_codes import EXIT_STALLED
from framework.interpreter import LAUNCHER_VARIABLE, python_on

GRACE_S = 6.0
"""From the first sign of trouble until the other ranks are ended: time to say what they know."""
_POLL_S = 0.05
_PER_CORE = 8
"""Processes per core that are taken for meant; more would fill the memory before the first step."""
_STACK_S = 2.0
_FORWARDED = (signal.SIGINT, signal.SIGTERM)


def start_processes(module: str, arguments: Sequence[str], count: int, meeting: Meeting | None = None) -> Ending:
    """Run ``python -m module arguments`` as ``count`` ranks and wait for them.

    Ctrl-C and SIGTERM are passed on, so that ranks save and end; a second Ctrl-C ends them at once.

    Args:
        module: importable module of this installation with a main part, as ``launch.train``.
        arguments: arguments of every rank.
        count: processes on this machine, >= 1.
        meeting: where the other machines of the run are met, each of which makes the same call; None: there are none.

    Returns:
        How the ranks of all machines ended; nothing is printed.

    Raises:
        ConfigError: far more processes than cores; nothing was started.
        RunError: the other machines are not all there, or cannot reach each other.
    """
    cores = len(os.sched_getaffinity(0))
    if count > _PER_CORE * cores:
        raise ConfigError(
            f"{count} processes on {cores} cores: each would wait for the others, and together they would "
            f"fill the memory; start one per GPU, or without a GPU at most one per core: --nproc {cores}"
        )
    with tempfile.TemporaryDirectory(prefix="wellstream-ranks-") as folder, ExitStack() as others:
        joined = None if meeting is None else others.enter_context(join(meeting, count))
        group = _Group(folder=Path(folder), count=count, joined=joined)
        try:
            with group.passing_on_signals():
                group.start(python_on(module, arguments))
                group.wait()
                group.kill()
                return group.ending()
        finally:
            group.kill()


@dataclass(kw_only=True)
class _Group:
    """The processes of a run.

    Attributes:
        folder: for the rendezvous and the notes of ranks.
        count: count of ranks.
        processes: by rank.
        ended: rank -> when its end was seen, seconds since 1970.
        heard: signals this process was sent.
        ended_here: ranks that this process killed.
        stalled: ranks that were found standing still.
        joined: the machines of the run; None where there is only this one.
        neighbours: what the other machines tell.
    """

    folder: Path
    count: int
    joined: Joined | None = None
    neighbours: Neighbours | None = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ended: dict[int, float] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)
    ended_here: set[int] = field(default_factory=set)
    stalled: list[Failure] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Rank of the first process of this machine."""
        return 0 if self.joined is None else self.joined.first_rank

    @property
    def world(self) -> int:
        """Ranks of the run."""
        return self.count if self.joined is None else self.joined.world

    def start(self, command: list[str]) -> None:
        """Start all ranks; Ctrl-C is held back in each until it can answer."""
        if self.joined is not None:
            self.neighbours = Neighbours(self.joined)
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        try:
            for rank in range(self.count):
                self.processes.append(subprocess.Popen(command, env=self._environment(rank)))  # noqa: S603 - ours
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _environment(self, rank: int) -> dict[str, str]:
        outer = {key: value for key, value in os.environ.items() if not key.startswith(("TORCHELASTIC_", "MASTER_"))}
        if self.joined is not None:
            place = self.joined.environment()
        else:
            place = {**loopback_only(), RENDEZVOUS_VARIABLE: f"file://{self.folder}/rendezvous"}
        return {
            "OMP_NUM_THREADS": "1",  # else every rank takes all cores
            "TORCH_CPP_LOG_LEVEL": "ERROR",
            **place,
            **outer,
            # An interface that the user named stays; where ranks meet does not.
            **{name: value for name, value in place.items() if not name.endswith("_IFNAME")},
            "RANK": str(self.first + rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(self.world),
            "LOCAL_WORLD_SIZE": str(self.count),
            REPORTS_VARIABLE: str(self.folder),
            LAUNCHER_VARIABLE: str(os.getpid()),
        }

    def wait(self) -> None:
        """Return when all ranks have ended, or one has failed and the others had time to say why."""
        trouble: float | None = None
        while self._running():
            if trouble is None and self._has_trouble():
                trouble = time.monotonic()
            if trouble is not None and time.monotonic() - trouble > self._grace_s():
                self._ask_who_stands_still()
                return
            if self.heard.count(signal.SIGINT) > 1:
                return
            time.sleep(_POLL_S)

    def _running(self) -> list[int]:
        for rank, process in enumerate(self.processes):
            if rank not in self.ended and process.poll() is not None:
                self.ended[rank] = time.time()
        return [rank for rank in range(len(self.processes)) if rank not in self.ended]

    def _has_trouble(self) -> bool:
        failed = any(self.processes[rank].returncode for rank in self.ended)
        here = failed or any(note.kind != "stopped" for note in notes(self.folder).values())
        return here or (self.neighbours is not None and any(one.is_cause for one in self.neighbours.failures()))

    def _grace_s(self) -> float:
        """Return how long the others may take to say what they know: longer where the cause lies on another machine."""
        if self.neighbours is None or self.joined is None:
            return GRACE_S
        mine = self.failures()
        self.neighbours.tell(mine)
        if self.neighbours.are_lost():
            return 0.0  # that took its time, and ranks can add nothing
        known = any(one.is_cause for one in [*mine, *self.neighbours.failures()])
        return GRACE_S if known else GRACE_S + self.joined.meeting.node_timeout_s

    def _ask_who_stands_still(self) -> None:
        """Get the stack of ranks that others waited for in vain, even of one that was halted by SIGSTOP."""
        told = notes(self.folder)
        if not told or any(note.is_cause for note in told.values()):
            return
        running = self._running() if hasattr(signal, "SIGUSR1") else []
        silent = [rank for rank in running if self.first + rank not in told]
        for rank in silent:
            for number in (signal.SIGUSR1, signal.SIGCONT):
                self.processes[rank].send_signal(number)
        until = time.monotonic() + _STACK_S
        while silent and time.monotonic() < until and not all(self._stack(rank) for rank in silent):
            time.sleep(_POLL_S)
        waited = next((note for note in told.values() if note.kind == "waited"), None)
        if waited is not None:
            self.stalled = [
                Failure(
                    rank=self.first + rank,
                    kind="stalled",
                    message=f"does not move (rank {waited.rank} {waited.message})",
                    code=EXIT_STALLED,
                    when=time.time(),
                    trace=self._stack(rank),
                )
                for rank in silent
            ]

    def _stack(self, rank: int) -> str:
        """Return what a rank wrote of its stack: complete once the file ends with a line's end."""
        try:
            text = stack_file(self.folder, self.first + rank).read_text(encoding="utf-8")
        except OSError:
            return ""
        return "".join(f"  {line.strip()}\n" for line in text.splitlines()[1:])

    def kill(self) -> None:
        """End what still runs."""
        for rank in self._running():
            self.ended_here.add(rank)
            with suppress(ProcessLookupError):
                self.processes[rank].kill()
        for process in self.processes:
            process.wait()

    def codes(self) -> dict[int, int]:
        """Return rank -> exit code (minus a signal) of the ranks that ended by themselves."""
        return {
            self.first + rank: process.returncode
            for rank, process in enumerate(self.processes)
            if rank not in self.ended_here and process.returncode is not None
        }

    def failures(self) -> list[Failure]:
        """Return what is known of ranks of this machine that failed."""
        told = notes(self.folder)
        found = [*told.values(), *(one for one in self.stalled if one.rank not in told)]
        for rank, code in self.codes().items():
            by_us = -code in self.heard
            if code and rank not in told and not by_us:
                found.append(killed(rank, code, self.ended.get(rank - self.first, time.time())))
        return found

    def ending(self) -> Ending:
        """Return how the ranks of all machines ended; those of this one have."""
        failures = self.failures()
        if self.neighbours is not None:
            failures += self._told_elsewhere(self.neighbours, failures)
        return verdict(self.world, self.codes(), failures, self.heard)

    def _told_elsewhere(self, neighbours: Neighbours, failures: Sequence[Failure]) -> list[Failure]:
        """Wait until the other machines have ended too, or until they are lost, and return what failed there."""
        neighbours.end(failures)
        while not neighbours.are_over() and self.heard.count(signal.SIGINT) < 2:
            time.sleep(_POLL_S)
        found = neighbours.failures()
        neighbours.leave()
        return found

    @contextmanager
    def passing_on_signals(self) -> Iterator[None]:
        """Pass Ctrl-C and SIGTERM on to all ranks while this lasts; only a main thread can."""
        before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.signal(number, self._pass_on) for number in _FORWARDED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)
        for rank, process in enumerate(self.processes):
            if rank not in self.ended:
                with suppress(ProcessLookupError):
                    process.send_signal(number)
