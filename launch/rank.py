"""What a process that is one rank of several says at its end: once, with its rank, and with the right exit code."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from framework.distributed import Failure, failure_of, share, tell, this_rank
from framework.exit_codes import EXIT_INTERRUPTED, Terminated
from framework.trainer import Stopped
from launch.show import as_typed, log_lines


def carried_out(work: Callable[[], object], *, terminated: int, again: str) -> int:
    """Do the work of one rank, or of a process alone, and return the exit code; what is wrong is told.

    Args:
        work: done once.
        terminated: exit code after SIGTERM.
        again: what the same command does when it is run again, as ``to continue``.
    """
    try:
        return _code_of(work, terminated, again)
    finally:
        # A table that a signal cut short may hang in a cycle of references. Its file is closed now: once Python takes
        # itself apart, its class has no methods any more, and h5py would print a traceback.
        gc.collect()


def _code_of(work: Callable[[], object], terminated: int, again: str) -> int:
    try:
        work()
    except KeyboardInterrupt as interrupt:
        by, code = ("SIGTERM", terminated) if isinstance(interrupt, Terminated) else ("Ctrl-C", EXIT_INTERRUPTED)
        return _stopped(f"stopped by {by}; run the same command again {again}", code)
    except Stopped as stop:
        return _stopped(str(stop), stop.exit_code)
    except Exception as error:
        return _failed(error)
    return 0


def log_as_rank(level: int) -> None:
    """Print what modules log from ``level`` on; of other ranks than the first errors alone."""
    log_lines(logging.ERROR if this_rank() else level)


def _stopped(message: str, code: int) -> int:
    tell(Failure(rank=this_rank() or 0, kind="stopped", message=message, code=code, when=time.time(), shared=True))
    return code


def _failed(error: Exception) -> int:
    if this_rank() is None:
        share(error)
    failure = failure_of(error, this_rank() or 0)
    tell(replace(failure, message=as_typed(failure.message)))
    return failure.code
