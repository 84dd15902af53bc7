"""Running ``wellstream`` commands in processes of their own, so that each step is exactly what a person would type."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from framework.errors import RunError
from framework.exit_codes import EXIT_INTERRUPTED, STEP_VARIABLE, Terminated
from framework.interpreter import python_on


class StepFailed(RunError):
    """A command ended with an error; it has already said why.

    Attributes:
        code: what it ended with.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def called(words: Sequence[str]) -> int:
    """Run ``wellstream WORDS`` and return its exit code.

    Ctrl-C is left to the command, which the terminal tells too, and SIGTERM is passed on, so that it can save.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came; the command has ended.
    """
    interrupt: KeyboardInterrupt | None = None
    step = {**os.environ, STEP_VARIABLE: "1"}
    with subprocess.Popen(python_on("launch", words), env=step) as process:  # noqa: S603 - our own command
        while True:
            try:
                code = process.wait()
                break
            except Terminated as signal:
                process.terminate()
                interrupt = signal
            except KeyboardInterrupt as signal:
                interrupt = signal
    if interrupt is not None:
        raise interrupt
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return code
