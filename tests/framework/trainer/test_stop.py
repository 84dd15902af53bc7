"""Signals become a wish, and a wish an exit code."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from framework.exit_codes import EXIT_INTERRUPTED, EXIT_REQUEUE
from framework.trainer import Stopped
from framework.trainer.stop import Signals


def test_exit_codes() -> None:
    assert (
        (Stopped(3, "SIGTERM").exit_code, Stopped(3, "SIGINT").exit_code)
        == (EXIT_REQUEUE, EXIT_INTERRUPTED)
        == (75, 130)
    )
    assert "after step 3" in str(Stopped(3, "SIGTERM"))


def test_a_second_interrupt_ends_at_once_unless_torchrun_repeats_it() -> None:
    with Signals(patient=True) as signals:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.received == "SIGINT"
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_request_to_requeue_outranks_an_interrupt() -> None:
    with Signals() as signals:
        assert signals.received is None
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert signals.received == "SIGTERM"


def test_other_threads_leave_handlers_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with Signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
