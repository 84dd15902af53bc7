"""Where tasks run: Dask workers here or behind an address, or this very process.

Results come back in the order of the jobs, a bounded number in flight, so that nothing depends on which worker was
faster, and the error raised is always that of the first job that fails.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import dask
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker

from framework.errors import WellstreamError

J = TypeVar("J")
R = TypeVar("R")
_IN_FLIGHT_PER_WORKER = 3
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _HEAP_BYTES = 1 << 29, 1 << 25
_QUIET = {
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.profile.enabled": False,
}
"""What watches the workers of a build takes a tenth of a core from them, and nobody sees it."""


class PipelineError(WellstreamError, RuntimeError):
    """The machinery failed, not the input: workers that die, a scheduler that cannot be reached."""


class Runner(Protocol):
    """Runs a function on jobs."""

    def each(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Yield ``function(job)`` for each job, in order."""
        ...


class HereRunner:
    """Runs every job in this process, one after another."""

    def each(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Yield ``function(job)`` for each job, in order."""
        _keep_freed_memory()
        for job in jobs:
            yield function(job)


class DaskRunner:
    """Runs jobs on the workers of a Dask cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def each(self, function: Callable[[J], R], jobs: Sequence[J]) -> Iterator[R]:
        """Yield ``function(job)`` for each job, in order.

        Raises:
            PipelineError: workers died on a job again and again.
        """
        workers = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        waiting = deque(jobs)
        running: deque[object] = deque()
        while waiting or running:
            while waiting and len(running) < _IN_FLIGHT_PER_WORKER * workers:
                running.append(self._client.submit(_single_threaded, function, waiting.popleft(), pure=False))
            future = running.popleft()
            try:
                result: R = future.result()  # type: ignore[attr-defined]
            except KilledWorker as error:
                raise PipelineError(
                    f"workers died while they worked on a task ({error}); most often memory: use fewer --workers, then "
                    "run the same command again, it continues"
                ) from error
            yield result


@contextmanager
def open_runner(scheduler: str | None, workers: int | None, jobs: int, scratch: Path) -> Iterator[Runner]:
    """Open the place tasks run at and close it on the way out, also on Ctrl-C.

    Args:
        scheduler: address of a Dask scheduler whose workers see the same files; None for workers on this machine.
        workers: local processes; 0 runs all in this process; None is one a core.
        jobs: tasks there will be at most; no more processes are started than that.
        scratch: folder for Dask's own files; the build removes it.

    Raises:
        PipelineError: no scheduler answers at the address.
    """
    if scheduler is not None:
        try:
            client = Client(scheduler, set_as_default=False, timeout="20s")  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise PipelineError(
                f"no Dask scheduler answers at '{scheduler}' ({error}); start one with: dask scheduler"
            ) from error
        with client:
            yield DaskRunner(client)
        return
    count = len(os.sched_getaffinity(0)) if workers is None else workers
    if min(count, jobs) <= 0:
        yield HereRunner()
        return
    with (
        local_cluster(min(count, jobs), scratch) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        yield DaskRunner(client)


def local_cluster(workers: int, scratch: Path) -> LocalCluster:
    """Start workers that leave Ctrl-C to this process, which then ends them in order and without their tracebacks."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main_thread else None
    try:
        with dask.config.set(_QUIET):
            return LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # None means port 8787, which another build may hold
                local_directory=str(scratch),
                memory_limit=None,
                silence_logs=logging.CRITICAL,
            )
    finally:
        if heard is not None:
            signal.signal(signal.SIGINT, heard)


def _single_threaded(function: Callable[[J], R], job: J) -> R:
    cv2.setNumThreads(1)  # one worker, one core: the cluster decides how many cores are used
    _keep_freed_memory()
    return function(job)


def _keep_freed_memory() -> None:
    """Let this process keep the memory of freed images for the next ones.

    Otherwise (and Dask's workers are told to) the C library gives it back at once, and each operation on an image pages
    it in anew, which takes longer than many of them. What is kept is bounded by what one site needs.
    """
    with suppress(AttributeError, OSError):  # a C library without mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _HEAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
