"""Killed, terminated and damaged runs end bit for bit where an unbroken run ends, and the audit proves it."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from fixtures.tiny_run import (
    ROOT,
    TRIPLET,
    command,
    config,
    digests,
    environment,
    same_bits,
    start,
    tiny_data,
    weights,
)

from framework.config import to_yaml
from framework.run import verify_run

pytestmark = pytest.mark.distributed

STEPS = 150


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, the YAML of a run of 200 steps, and ``whole-<ranks>``: that run, unbroken, on 1 and 2 ranks."""
    folder = tmp_path_factory.mktemp("restarts")
    tiny_data(folder / "data")
    settings = config(
        TRIPLET, f"train.steps={STEPS}", "train.save_every=7", run=folder / "unused", data=folder / "data"
    )
    (folder / "run.yaml").write_text(to_yaml(settings))
    for ranks in (0, 2):
        done = start(command(folder / "run.yaml", f"run_dir={folder}/whole-{ranks}", ranks=ranks))
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


def stop_after(arguments: list[str], run: Path, steps: int, number: int) -> int:
    """Start a run, send a signal to all its processes once it made ``steps`` steps, and return the exit code."""
    audit = run / "audit" / "rank-00000.jsonl"
    before = audit.read_text().count('"step"') if audit.is_file() else 0
    with subprocess.Popen(arguments, env=environment(), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if audit.is_file() and audit.read_text().count('"step"') >= before + steps:
                workers = psutil.Process(process.pid).children(recursive=True)
                # torchrun first: it must not act on the end of its workers.
                process.send_signal(number)
                for worker in workers:
                    with suppress(psutil.NoSuchProcess):
                        worker.send_signal(number)
                psutil.wait_procs(workers, timeout=60)
                break
            time.sleep(0.002)
        return process.wait(timeout=120)


def continue_run(root: Path, run: Path, ranks: int = 0) -> str:
    done = start(command(root / "run.yaml", f"run_dir={run}", ranks=ranks))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.mark.parametrize("ranks", [0, 2])
def test_killed_at_random_steps_and_resumed(root: Path, ranks: int) -> None:
    run = root / f"killed-{ranks}"
    random.seed(ranks)
    for _ in range(2):
        # At least one checkpoint each time, so that each attempt is part of the history.
        steps = random.randint(8, 40)
        code = stop_after(command(root / "run.yaml", f"run_dir={run}", ranks=ranks), run, steps, signal.SIGKILL)
        assert code == -signal.SIGKILL
    said = continue_run(root, run, ranks)
    assert "resuming from" in said
    assert same_bits(weights(run, STEPS), weights(root / f"whole-{ranks}", STEPS))
    sentences = verify_run(run).sentences
    assert f"each of the {STEPS} steps behind step-{STEPS:08d}" in sentences[0]
    assert "over 2 restart(s), no step was lost and none counted twice" in sentences


def test_sigterm_asks_to_be_queued_again_and_ctrl_c_does_not(root: Path) -> None:
    run = root / "terminated"
    arguments = command(root / "run.yaml", f"run_dir={run}")
    assert stop_after(arguments, run, 30, signal.SIGTERM) == 75
    assert '"status": "stopped"' in (run / "summary.json").read_text()
    assert stop_after(arguments, run, 30, signal.SIGINT) == 130
    continue_run(root, run)
    assert '"status": "finished"' in (run / "summary.json").read_text()
    assert same_bits(weights(run, STEPS), weights(root / "whole-0", STEPS))
    verify_run(run)


def test_a_flipped_byte_costs_one_interval_and_is_named(root: Path) -> None:
    run = root / "damaged"
    stop_after(command(root / "run.yaml", f"run_dir={run}"), run, 60, signal.SIGKILL)
    newest = max((run / "checkpoints").glob("step-*"))
    file = newest / "optimiser.pt"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(bytes(data))
    said = continue_run(root, run)
    assert f"{newest}: optimiser.pt is damaged: its content differs from the recorded SHA-256" in said
    before = run / "checkpoints" / f"step-{int(newest.name[5:]) - 7:08d}"
    assert f"resuming from {before}" in said
    assert same_bits(weights(run, STEPS), weights(root / "whole-0", STEPS))
    verify_run(run)


def test_another_number_of_ranks_may_go_on(root: Path) -> None:
    run = root / "elastic"
    stop_after(command(root / "run.yaml", f"run_dir={run}", ranks=2), run, 50, signal.SIGKILL)
    continue_run(root, run, ranks=0)
    first = verify_run(run).sentences[0]
    assert "on 2 rank(s), steps " in first
    assert f"to {STEPS} on 1 rank(s)" in first
    assert {**digests(run, 0), **digests(run, 1)} == digests(root / "whole-0")
