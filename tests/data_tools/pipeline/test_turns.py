"""On a worker of two threads one task computes at a time, and one that waits for the disk stands in nobody's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster

from data_tools.pipeline.runner import DaskRunner
from data_tools.pipeline.turns import end_turn

WAIT_S = 20.0
# Of the module, because tasks are pickled even for a worker in this process.
INSIDE, SECOND_COMPUTES = threading.Semaphore(1), threading.Event()


@pytest.fixture
def runner() -> Iterator[DaskRunner]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield DaskRunner(client)


def _is_alone() -> bool:
    alone = INSIDE.acquire(blocking=False)
    threading.Event().wait(0.02)
    if alone:
        INSIDE.release()
    return alone


def _compute(job: int) -> bool:
    return _is_alone()


def _wait_for_the_next(job: int) -> bool:
    if job == 1:
        SECOND_COMPUTES.set()
        return True
    end_turn()
    return SECOND_COMPUTES.wait(WAIT_S)


def _fail_first(job: int) -> int:
    if job == 0:
        raise ValueError("the first")
    return job


def _end_twice_then_compute(job: int) -> bool:
    if job >= 4:
        return _is_alone()
    end_turn()
    end_turn()
    return True


def test_tasks_compute_one_after_another(runner: DaskRunner) -> None:
    assert all(runner.each(_compute, range(6)))


def test_the_next_task_computes_while_the_last_one_waits(runner: DaskRunner) -> None:
    SECOND_COMPUTES.clear()
    assert list(runner.each(_wait_for_the_next, [0, 1])) == [True, True]


def test_a_task_that_fails_gives_its_turn_back(runner: DaskRunner) -> None:
    with pytest.raises(ValueError, match="the first"):
        list(runner.each(_fail_first, [0]))
    assert list(runner.each(_fail_first, [1, 2])) == [1, 2]


def test_a_turn_that_ended_twice_is_given_back_once(runner: DaskRunner) -> None:
    assert all(runner.each(_end_twice_then_compute, range(10)))


def test_outside_dask_there_is_nothing_to_end() -> None:
    end_turn()
