"""Where tasks run: Dask workers here or behind an address, or this very process.

Results come back in the order of the jobs, a bounded number in flight, so that nothing depends on which worker was
faster, and the error raised is always that of the first job that fails.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import dask
from distributed import Client, LocalCluster, WorkerPlugin
from distributed.scheduler import KilledWorker

from data_tools.pipeline.build.script import script_left_alone
from framework.allocator import keep_freed_memory
from framework.errors import ConfigError, WellstreamError
from framework.plugins import load_plugins, loaded_plugins, permit_code

J = TypeVar("J")
R = TypeVar("R")
_IN_FLIGHT_PER_WORKER = 3
CONTINUE = "run the same command again, it continues"
NO_WORKER_S = 60.0
"""How long a build waits while there is no worker at all: local ones are started again within seconds."""
_LOOK_S = 5.0
_FILE_S = 0.2
_ANSWER_S = 30.0
_KEPT_BYTES = 1 << 29
"""More than one site needs. Dask tells its workers to give memory back at once; each image would page it in anew."""
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

    def each(self, function: Callable[..., R], jobs: Sequence[J], *shared: Any) -> Iterator[R]:
        """Yield ``function(job, *shared)`` for each job, in order."""
        ...


class _Plugins(WorkerPlugin):
    """Loads in each worker, also in one that joins later, what this process has loaded: by the same files."""

    name = "wellstream-plugins"

    def __init__(self, names: Sequence[str]) -> None:
        self._plugins = list(names)

    def setup(self, worker: Any) -> None:
        """Dask has asked the worker for this, which may run any code there; so the files need no further leave."""
        permit_code()
        if load_plugins(self._plugins, "Dask worker") != self._plugins:
            raise ConfigError(
                "the plugin file has other content on the machine of the worker; give all machines the same file"
            )


class HereRunner:
    """Runs every job in this process, one after another."""

    def each(self, function: Callable[..., R], jobs: Sequence[J], *shared: Any) -> Iterator[R]:
        """Yield ``function(job, *shared)`` for each job, in order."""
        keep_freed_memory(_KEPT_BYTES)
        for job in jobs:
            yield function(job, *shared)


class DaskRunner:
    """Runs jobs on the workers of a Dask cluster.

    Args:
        client: client of its scheduler.
        again: what to do after the cluster has failed.
    """

    def __init__(self, client: Client, again: str = CONTINUE) -> None:
        self._client, self._again = client, again
        names = loaded_plugins()
        if names:
            try:
                client.register_plugin(_Plugins(names))
            except ConfigError as error:
                raise PipelineError(f"a Dask worker cannot load a plugin: {error}") from error

    def each(self, function: Callable[..., R], jobs: Sequence[J], *shared: Any) -> Iterator[R]:
        """Yield ``function(job, *shared)`` for each job, in order; ``shared`` goes to each worker once.

        Raises:
            PipelineError: workers died on a job again and again, there was none for ``NO_WORKER_S``, or the scheduler
                ended.
        """
        with self._in_contact():
            workers = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        held = [self._sent(value) for value in shared]
        waiting = deque(jobs)
        running: deque[Any] = deque()
        while waiting or running:
            while waiting and len(running) < _IN_FLIGHT_PER_WORKER * workers:
                running.append(self._submitted(function, waiting.popleft(), held))
            result: R = self._result(running.popleft())
            yield result

    def _sent(self, value: Any) -> Any:
        """Return a value as the result of a task: each worker gets it once, and it is made again where one ends."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            return self._submitted(_given, value, [])

    def _submitted(self, function: Callable[..., R], job: J, held: list[Any]) -> Any:
        with self._in_contact():
            return self._client.submit(_single_threaded, function, job, *held, pure=False)

    def _result(self, future: Any) -> Any:
        """Return what a task returns; what it raises is raised here."""
        failed = self._ended(future)
        if failed is None:
            with self._in_contact():  # the value is fetched only now
                return future.result()
        if isinstance(failed, KilledWorker):
            raise PipelineError(
                f"workers died while they worked on a task ({failed}), most often for lack of memory; use "
                f"fewer workers, then {self._again}"
            ) from failed
        if isinstance(failed, CancelledError):
            raise self._scheduler_ended() from failed
        if isinstance(failed, ModuleNotFoundError):
            raise PipelineError(
                f"a Dask worker has no module '{failed.name}': install the same wellstream where the workers run"
            ) from failed
        raise failed

    def _ended(self, future: Any) -> BaseException | None:
        """Wait for a task; return what it raised, if anything."""
        seen = time.monotonic()
        while True:
            with self._in_contact(), suppress(TimeoutError):
                failed: BaseException | None = future.exception(timeout=_LOOK_S)
                return failed
            if self._has_workers():
                seen = time.monotonic()
            elif time.monotonic() - seen > NO_WORKER_S:
                raise PipelineError(
                    f"there has been no Dask worker for {NO_WORKER_S:g} s; start workers, then {self._again}"
                )

    def _has_workers(self) -> bool:
        ask: Any = self._client.sync
        scheduler: Any = self._client.scheduler
        with self._in_contact():
            try:
                facts = ask(scheduler.identity, n_workers=1, callback_timeout=_ANSWER_S)
            except TimeoutError:
                raise PipelineError(
                    f"the Dask scheduler has not answered for {_ANSWER_S:g} s; start it again, then {self._again}"
                ) from None
        return bool(facts["workers"])

    @contextmanager
    def _in_contact(self) -> Iterator[None]:
        """Turn whatever a lost connection raises into the sentence for it."""
        try:
            yield
        except PipelineError:
            raise
        except (CancelledError, OSError, RuntimeError) as error:  # RuntimeError: the client has been closed
            raise self._scheduler_ended() from error

    def _scheduler_ended(self) -> PipelineError:
        return PipelineError(
            f"the Dask scheduler has ended, or cannot be reached any more; start it again, then {self._again}"
        )


@contextmanager
def open_runner(
    scheduler: str | None, workers: int | None, jobs: int, scratch: Path, again: str = CONTINUE
) -> Iterator[Runner]:
    """Open the place tasks run at and close it on the way out, also on Ctrl-C.

    Args:
        scheduler: address of a Dask scheduler whose workers see the same files, or the file (``.json``) that it writes
            when it starts; None for workers on this machine.
        workers: local processes; 0 runs all in this process; None is one per core. With a scheduler: how many to wait
            for, up to ``NO_WORKER_S``.
        jobs: tasks there will be at most; no more processes are started than that.
        scratch: folder for Dask's own files; the build removes it.
        again: what to do after workers or scheduler have ended.

    Raises:
        PipelineError: no scheduler answers at the address.
    """
    if scheduler is not None:
        _silence()
        try:
            address = _address_in(Path(scheduler)) if scheduler.endswith(".json") else scheduler
            client = Client(address, set_as_default=False, timeout="20s")  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise PipelineError(
                f"no Dask scheduler answers at '{scheduler}' ({error}); start one with: dask scheduler"
            ) from error
        with client:
            if workers:
                with suppress(TimeoutError):  # those that are there begin
                    client.wait_for_workers(min(workers, jobs), timeout=NO_WORKER_S)
            yield DaskRunner(client, again)
        return
    count = len(os.sched_getaffinity(0)) if workers is None else workers
    if min(count, jobs) <= 0:
        yield HereRunner()
        return
    with (
        script_left_alone(),  # for as long as there are workers, as those that die are started again
        local_cluster(min(count, jobs), scratch) as cluster,
        Client(cluster, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        yield DaskRunner(client, again)


def _silence() -> None:
    """Leave it to us to say what happens to scheduler and workers; some loggers of Dask have levels of their own."""
    for name in [*logging.root.manager.loggerDict, "distributed"]:
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _address_in(file: Path) -> str:
    """Return the address in the file of a scheduler that may still be starting.

    Raises:
        PipelineError: the file does not come, or holds no address.
    """
    until = time.monotonic() + NO_WORKER_S
    while time.monotonic() < until:
        with suppress(OSError, ValueError):  # not there yet, or not yet whole
            plain = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(plain, dict) and isinstance(plain.get("address"), str):
                return str(plain["address"])
        time.sleep(_FILE_S)
    raise PipelineError(
        f"{file}: no Dask scheduler has written this file within {NO_WORKER_S:g} s; write it with: dask "
        f"scheduler --scheduler-file {file}"
    )


@contextmanager
def local_cluster(workers: int, scratch: Path) -> Iterator[LocalCluster]:
    """Start workers that leave Ctrl-C to this process, and end them in order and without their tracebacks.

    Raises:
        PipelineError: they cannot be started.
    """
    started: list[LocalCluster] = []
    try:
        with _interrupts_held_back(), dask.config.set(_QUIET):
            started.append(
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # None means port 8787, which another build may hold
                    local_directory=str(scratch),
                    memory_limit=None,
                    silence_logs=logging.CRITICAL,
                )
            )
    except (RuntimeError, TimeoutError) as error:
        raise PipelineError(
            f"the {workers} Dask workers could not be started ({error}); use fewer --workers, or --workers 0 for none"
        ) from error
    except KeyboardInterrupt:
        for cluster in started:
            cluster.close()
        raise
    _silence()
    with started[0] as cluster:
        yield cluster


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Answer Ctrl-C and SIGTERM at the end, and start processes that never answer Ctrl-C, also in place of dead ones.

    They inherit what the thread that starts them holds back, and the threads of Dask inherit it from this one. SIGTERM
    is not held back there: it is how Dask ends them.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it lets signals through again in the thread that starts it
    heard: list[int] = []
    answered = [
        one for one in (signal.SIGINT, signal.SIGTERM) if one == signal.SIGINT or callable(signal.getsignal(one))
    ]
    before = {one: signal.signal(one, lambda number, _: heard.append(number)) for one in answered}
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        for one, handler in before.items():
            signal.signal(one, handler)
        if heard:
            signal.raise_signal(heard[0])


def _given(value: J) -> J:
    return value


def _single_threaded(function: Callable[..., R], job: J, *shared: Any) -> R:
    cv2.setNumThreads(1)  # one worker, one core: the cluster decides how many cores are used
    keep_freed_memory(_KEPT_BYTES)
    return function(job, *shared)
