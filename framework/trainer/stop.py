"""Stopping politely: a signal lets the step end, a checkpoint is written, and the exit code says what to do next.

Exit code 75 (``EX_TEMPFAIL``) after SIGTERM asks a batch system to queue the run again; 130 after Ctrl-C does not.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Literal

from framework.errors import RunError
from framework.exit_codes import EXIT_INTERRUPTED, EXIT_REQUEUE

StoppedBy = Literal["SIGTERM", "SIGINT"]


class Stopped(RunError):
    """A run that was asked to stop and can be continued; ``exit_code`` is what the process should end with."""

    def __init__(self, step: int, stopped_by: StoppedBy) -> None:
        super().__init__(
            f"stopped by {stopped_by} after step {step}; it is checkpointed, run the same command again to continue"
        )
        self.exit_code = EXIT_REQUEUE if stopped_by == "SIGTERM" else EXIT_INTERRUPTED


class Signals:
    """While open, SIGTERM and SIGINT set a flag instead of ending the process.

    A second Ctrl-C ends it at once, unless ``patient``: a launcher passes Ctrl-C on to ranks that the terminal has told
    already. So a patient process that was told ignores both signals from then on.
    """

    def __init__(self, patient: bool = False) -> None:
        self._patient = patient
        self._before: dict[int, Any] = {}
        self.received: StoppedBy | None = None

    def __enter__(self) -> Signals:
        # Only the main thread may set handlers; in another one the caller keeps its own.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            told = self._patient and self.received is not None
            signal.signal(number, signal.SIG_IGN if told else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == "SIGINT" and not self._patient:
            raise KeyboardInterrupt
        # SIGTERM outranks Ctrl-C: whoever requeues needs to know.
        if self.received != "SIGTERM":
            self.received = "SIGTERM" if number == signal.SIGTERM else "SIGINT"
