"""One rank of a command that shares its work, as ``python -m launch.together embed RUN --out FILE``.

``wellstream embed --nproc N`` starts it N times, as does ``torchrun --nproc-per-node N -m launch.together embed RUN
--out FILE``. Commands that share work: ``embed``, ``predict``, ``inpaint``. Exit codes: ``framework.exit_codes``.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import typer

from framework.allocator import keep_freed_memory
from framework.distributed import end_rank
from framework.exit_codes import EXIT_TERMINATED, Terminated
from framework.interpreter import hear_interrupts
from launch.cli import app
from launch.rank import carried_out, log_as_rank
from launch.several import as_rank


def together(words: Sequence[str]) -> int:
    """Carry out the rank's part of a command, given as words without the name of the program; return the exit code."""
    log_as_rank(logging.WARNING)
    return carried_out(lambda: _command(words), terminated=EXIT_TERMINATED, again="to start anew")


def _command(words: Sequence[str]) -> None:
    command = typer.main.get_command(app)
    with as_rank(), command.make_context("wellstream", list(words)) as context:
        command.invoke(context)


def terminated(number: int, frame: FrameType | None) -> NoReturn:
    """Unwind once, so that no unfinished file stays."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminated)
    hear_interrupts()
    keep_freed_memory()
    end_rank(together(sys.argv[1:]))
