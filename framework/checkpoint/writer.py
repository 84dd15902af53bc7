"""Checkpoints beside training: copied and written by another thread, one at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from framework.checkpoint.contents import Buffers, Contents, Copy
from framework.checkpoint.listing import prune, write_pointer
from framework.checkpoint.writing import write

log = logging.getLogger(__name__)


class Writer:
    """Writes checkpoints while training goes on.

    A checkpoint begins when the one before it is on the disk, so at most one is on its way, and memory is that of one
    copy. What goes wrong is raised by the next call of ``check``, ``save`` or ``wait``. Use it as a context: its end
    waits for what is on its way.
    """

    def __init__(self) -> None:
        self._buffers = Buffers()
        self._thread: threading.Thread | None = None
        self._copy: Copy | None = None
        self._is_copied = threading.Event()
        self._failure: Exception | None = None

    def save(
        self, folder: Path, contents: Contents, *, keep: int, is_best: bool, before: Callable[[], None] | None = None
    ) -> None:
        """Wait for the checkpoint before, copy what soon changes, and leave the rest to the other thread.

        Weights, averages and moments may change once ``settle`` has returned.

        Args:
            folder: the run's ``checkpoints`` folder.
            contents: all else may change once this returns.
            keep: how many checkpoints to keep, besides the best one.
            is_best: whether the pointer ``best`` moves to this one.
            before: called in the other thread before anything is published.

        Raises:
            CheckpointError: the checkpoint before this one was not written.
        """
        self.wait()
        self._copy = copied = self._buffers.copy(contents)
        self._is_copied.clear()

        def work() -> None:
            try:
                try:
                    copied.finish()
                finally:
                    self._is_copied.set()
                copied.arrive()
                if before is not None:
                    before()
                path = write(folder, copied.contents)
                if is_best:
                    write_pointer(folder, "best", path.name)
                prune(folder, keep, sound=path)
            except Exception as error:
                self._failure = error

        # A daemon: a second Ctrl-C ends the process at once, and what is half written never counts.
        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    def settle(self) -> None:
        """Wait until weights, averages and moments are copied; call it before anything changes them.

        Raises:
            CheckpointError: something has changed them already.
        """
        copied, self._copy = self._copy, None
        if copied is not None:
            self._is_copied.wait()
            copied.check_unchanged()

    def check(self) -> None:
        """Raise what went wrong with a checkpoint, if that is known by now; otherwise go on at once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def wait(self) -> None:
        """Wait until nothing is on its way. Raises as ``check``."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.wait()
        elif isinstance(error, Exception):
            # The error that ends the run is the one to raise; this one is told beside it.
            try:
                self.wait()
            except Exception as failure:
                log.error("%s", failure)
