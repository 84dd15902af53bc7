"""Ctrl-C while a chain still loads its libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("package", ["demo", "ifc_seq"])
def test_ctrl_c_while_libraries_load_is_one_sentence(package: str, tmp_path: Path) -> None:
    # The first library that the chain asks for interrupts, as a user would who pressed Ctrl-C in that moment.
    # A process that a shell started in the background ignores Ctrl-C, and so would its children: the handler is set.
    pressed = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    for library in ("rich", "pandas"):
        (tmp_path / f"{library}.py").write_text(pressed)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", f"experiments.{package}", "--out", str(tmp_path / "out")]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 130
    assert ended.stderr == "interrupted; run the same command again to continue\n"
    assert not (tmp_path / "out").exists()
