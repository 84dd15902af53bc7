"""``wellstream train --nproc``: what a person sees when ranks fail, and when Ctrl-C ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.tiny_run import TRIPLET, environment, tiny_data

pytestmark = pytest.mark.distributed

# Enough to be interrupted long before the end, few enough to end by itself if a test goes wrong.
FEW_STEPS = "train.steps=3000"


def start(file: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "launch", "train", str(file), "--nproc", "2", *words]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        start_new_session=True,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    tiny_data(tmp_path / "data")
    file = tmp_path / "run.yaml"
    file.write_text(TRIPLET.format(run=tmp_path / "run", data=tmp_path / "data"))
    return file


def test_what_is_wrong_is_said_once_by_all_ranks_together(config: Path, tmp_path: Path) -> None:
    process = start(config, f"data.path={tmp_path / 'nowhere'}")
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 2
    assert said.strip().splitlines() == [
        f"wellstream: data.path: {tmp_path / 'nowhere'}: no such dataset folder; make one with: wellstream ingest "
        "CONFIG"
    ]


def interrupted_after(process: subprocess.Popen[str], beginning: str) -> str:
    """Wait for a line with this beginning, press Ctrl-C, and return all that was said."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(beginning):
            break
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=600)
    assert process.returncode == 130, said + rest
    return said + rest


def test_ctrl_c_saves_on_all_ranks_and_the_same_command_goes_on(config: Path, tmp_path: Path) -> None:
    said = interrupted_after(start(config, FEW_STEPS), "step ")
    assert "it is checkpointed, run the same command again to continue" in said
    assert "Traceback" not in said
    saved = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    again = interrupted_after(start(config, FEW_STEPS), "step ")
    assert f"resuming from {saved}" in again


def test_a_dry_run_says_time_and_memory_and_makes_no_run(config: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launch", "train", str(config), "--dry-run"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    for said in ("step s", "estimate", "for 12 steps on CPU", "memory", "GB with the libraries", "plan.tiles=2: "):
        assert said in done.stdout
    assert not (tmp_path / "run").exists()
