"""Ctrl-C in processes that are started on a module of ours."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from framework.interpreter import EXIT_INTERRUPTED, python_on

LOSES = """
import signal, time
class Callback:
    def __del__(self): signal.raise_signal(signal.SIGINT)
def main():
    Callback()
    {then}
main()
"""


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    (folder / "task_of_test.py").write_text(program)
    return subprocess.run(
        python_on("task_of_test"),
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=_hear_ctrl_c,
    )


@pytest.mark.parametrize("then", ["time.sleep(60)", "while True: pass"])
def test_an_interrupt_that_a_callback_loses_is_raised_again(then: str, tmp_path: Path) -> None:
    done = _run(tmp_path, LOSES.format(then=then))
    assert (done.returncode, done.stderr) == (EXIT_INTERRUPTED, "")


def test_other_errors_of_callbacks_are_shown(tmp_path: Path) -> None:
    done = _run(tmp_path, "class Callback:\n    def __del__(self): raise ValueError('of ours')\nCallback()\n")
    assert done.returncode == 0
    assert "ValueError: of ours" in done.stderr
