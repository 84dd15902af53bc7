"""A run folder has one writer, and a dead one leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.tiny_run import environment

from framework.errors import RunError
from framework.run.train.lock import sole_writer


def test_a_second_writer_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with (
        sole_writer(run),
        pytest.raises(RunError, match=r"run: another process trains in this folder \(process \d+ on "),
        sole_writer(run),
    ):
        pass
    with sole_writer(run):
        pass


def test_a_killed_writer_frees_the_folder(tmp_path: Path) -> None:
    code = "import sys, os, pathlib; from framework.run.train.lock import sole_writer\n"
    code += "with sole_writer(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {other.pid} on"), sole_writer(tmp_path):
            pass
        other.kill()
        other.wait()
    with sole_writer(tmp_path):
        pass
