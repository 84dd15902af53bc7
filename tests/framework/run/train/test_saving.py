"""Killed, or out of disk, while a checkpoint is written beside training: nothing torn counts and nothing is lost."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest
import torch
from fixtures.tiny_run import TRIPLET, config, difference, same_bits, start, tiny_data, weights

from framework import checkpoint
from framework.config import to_yaml
from framework.distributed import start_processes
from framework.run import fit, load_run_config, verify_run

pytestmark = pytest.mark.distributed

DIES = "tests.fixtures.dying_writer"
STEPS = 8
FULL = r"step-00000004: cannot be written: the disk is full \(\d+\.\d MB free\); repair that and run the same command "


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, the YAML of a run that saves after every step, and ``whole``: that run, unbroken, on one process."""
    folder = tmp_path_factory.mktemp("saving")
    tiny_data(folder / "data")
    # Adam makes steps of the rounding noise where a gradient is 0, which differs between one rank and two.
    optim = ("optim.name=sgd", "optim.lr=0.1", "objective.backbone.dropout=0")
    changes = (*optim, f"train.steps={STEPS}", "train.save_every=1", "train.keep=9")
    settings = config(TRIPLET, *changes, run=folder / "whole", data=folder / "data")
    (folder / "run.yaml").write_text(to_yaml(settings))
    torch.set_num_threads(1)
    fit(settings)
    return folder


def continued(root: Path, run: Path) -> None:
    fit(load_run_config(root / "run.yaml", [f"run_dir={run}"]))
    verify_run(run)


def test_killed_between_the_last_file_and_its_name(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = start([sys.executable, "-m", DIES, "filling", "4", str(root / "run.yaml"), f"run_dir={run}"])
    assert done.returncode == -signal.SIGKILL
    # At most one is on its way: step 3 was on the disk before step 4 was begun, and step 5 could not begin.
    assert [path.name for path in (run / "checkpoints").glob(".step-*")] != []
    assert checkpoint.newest_valid(run / "checkpoints") == run / "checkpoints" / "step-00000003"
    continued(root, run)
    assert list((run / "checkpoints").glob(".step-*")) == []
    assert same_bits(weights(run, STEPS), weights(root / "whole", STEPS))


def test_two_ranks_killed_between_a_name_and_the_pointer_to_it(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ended = start_processes(DIES, ["publishing", "4", str(root / "run.yaml"), f"run_dir={run}"], 2)
    assert ended.code == 128 + signal.SIGKILL
    assert checkpoint.read_pointer(run / "checkpoints", "latest") == run / "checkpoints" / "step-00000003"
    assert checkpoint.newest_valid(run / "checkpoints") == run / "checkpoints" / "step-00000004"
    continued(root, run)
    assert difference(weights(run, STEPS), weights(root / "whole", STEPS)) <= 1e-5


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_from_the_checkpoint_before(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = start([sys.executable, "-m", DIES, "full", "4", str(root / "run.yaml"), f"run_dir={run}"])
    assert done.returncode == 2
    told = [line for line in done.stderr.splitlines() if "cannot be written" in line]
    assert len(told) == 1
    assert re.fullmatch(f"wellstream: {run}/checkpoints/{FULL}again, it continues from the newest checkpoint", told[0])
    assert checkpoint.newest_valid(run / "checkpoints") == run / "checkpoints" / "step-00000003"
    continued(root, run)
    assert same_bits(weights(run, STEPS), weights(root / "whole", STEPS))


def test_a_full_disk_of_two_ranks_names_the_rank_that_writes(root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ended = start_processes(DIES, ["full", "4", str(root / "run.yaml"), f"run_dir={run}"], 2)
    assert ended.code == 2
    assert len(ended.sentences) == 1
    assert re.match(f"rank 0: {run}/checkpoints/{FULL}", ended.sentences[0])
