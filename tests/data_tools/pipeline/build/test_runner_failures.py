"""Workers and schedulers that end: one sentence after a stated time, and what can go on goes on."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fixtures.dask_scheduler import scheduler

from data_tools.pipeline import PipelineError
from data_tools.pipeline.build import runner


def test_a_scheduler_that_ends_is_a_sentence_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def each() -> Iterator[None]:
        with scheduler(1) as (address, process), runner.open_runner(address, None, 3, tmp_path) as opened:
            for _ in opened.each(time.sleep, [0.0, 600.0, 600.0]):
                process.kill()
                yield

    done = each()
    next(done)
    began = time.monotonic()
    with pytest.raises(PipelineError, match="the Dask scheduler has ended, or cannot be reached any more"):
        next(done)
    assert time.monotonic() - began < 60
    loggers = [logging.getLogger(f"distributed{name}") for name in ("", ".client", ".comm.core", ".utils")]
    assert not any(logger.isEnabledFor(logging.ERROR) for logger in loggers)
    assert "Traceback" not in capfd.readouterr().err


def test_no_worker_for_too_long_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "NO_WORKER_S", 2.0)
    monkeypatch.setattr(runner, "_LOOK_S", 0.5)
    with (
        scheduler(0) as (address, _),
        runner.open_runner(address, None, 3, tmp_path) as opened,
        pytest.raises(PipelineError, match="there has been no Dask worker for 2 s; start workers"),
    ):
        list(opened.each(time.sleep, [0.0]))


def own_pid(marker: Path) -> int:
    """Leave the process number behind, then end the worker, the first two times."""
    marker.open("a").write(f"{os.getpid()}\n")
    if len(marker.read_text().split()) < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_a_job_whose_worker_is_killed_twice_is_done_by_a_third_one_that_leaves_ctrl_c_to_us(tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    with runner.open_runner(None, 1, 1, tmp_path) as opened:
        (last,) = opened.each(own_pid, [marker])
        assert marker.read_text().split()[-1] == str(last)
        assert len(set(marker.read_text().split())) == 3
        process = psutil.Process(last)
        process.send_signal(signal.SIGINT)
        assert not logging.getLogger("distributed.client").isEnabledFor(logging.ERROR)
        assert list(opened.each(abs, [-1])) == [1]
        assert process.is_running()


def test_ctrl_c_while_dask_starts_is_heard_once_the_workers_can_be_ended() -> None:
    reached = []

    def start() -> None:
        with runner._interrupts_held_back():
            signal.raise_signal(signal.SIGINT)
            reached.append(signal.sigpending())

    with pytest.raises(KeyboardInterrupt):
        start()
    assert reached == [{signal.SIGINT}]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
