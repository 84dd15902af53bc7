"""When checkpoints are written beside training, what they name, and how a failure ends the run."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.line import OPTIM, Random, collaborators, same

from framework import checkpoint
from framework.checkpoint import writer
from framework.checkpoint.contents import Copy
from framework.errors import CheckpointError
from framework.tracking import read_audit
from framework.trainer import Average, Progress, TrainConfig, fit
from framework.trainer.config import EmaConfig


@pytest.mark.parametrize("step", [3, 9])
def test_a_checkpoint_that_cannot_be_written_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Soon after, or at the end; what was saved before is untouched."""
    real = writer.write

    def refuses(folder: Path, contents: checkpoint.Contents) -> Path:
        if contents.step == step:
            raise CheckpointError("the disk is full")
        return real(folder, contents)

    monkeypatch.setattr(writer, "write", refuses)
    run = collaborators(tmp_path, OPTIM, 9, Random())
    with pytest.raises(CheckpointError, match="the disk is full"):
        fit(run, TrainConfig(steps=9, save_every=3), OPTIM, Progress())
    newest = None if step == 3 else tmp_path / "checkpoints" / "step-00000006"
    assert checkpoint.newest_valid(tmp_path / "checkpoints") == newest
    # No later than the next checkpoint, which waits for this one.
    assert len(read_audit(tmp_path).records) <= step + 3


def test_the_last_checkpoint_is_awaited_and_names_the_audit_of_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = writer.write

    def slow(folder: Path, contents: checkpoint.Contents) -> Path:
        time.sleep(0.1)
        return real(folder, contents)

    monkeypatch.setattr(writer, "write", slow)
    run = collaborators(tmp_path, OPTIM, 4, Random())
    fit(run, TrainConfig(steps=4, save_every=1, keep=9), OPTIM, Progress())
    marks = {0: frozenset(range(2, 6))}
    heads = read_audit(tmp_path, marks).files[0].marks
    for step in range(1, 5):
        state = checkpoint.load(tmp_path / "checkpoints" / f"step-{step:08d}").state
        # The header, then one line per step.
        assert state["audit"] == {"0": {"lines": step + 1, "digest": heads[step + 1]}}
        assert state["progress"]["step"] == step


def test_a_copy_that_is_made_late_is_that_of_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps here take less than a millisecond, so each would change the weights long before they are copied."""
    train = TrainConfig(steps=4, save_every=1, evaluate_every=2, keep=9, ema=EmaConfig(decay=0.5, validation=True))
    real = Copy.finish

    def slow(self: Copy) -> None:
        time.sleep(0.1)
        real(self)

    for name in ("soon", "late"):
        if name == "late":
            monkeypatch.setattr(Copy, "finish", slow)
        run = collaborators(tmp_path / name, OPTIM, 4, Random(), validation=(Random(), 2))
        fit(replace(run, average=Average(run.objective, 0.5)), train, OPTIM, Progress())
    for step in range(1, 5):
        soon, late = (checkpoint.load(tmp_path / name / f"checkpoints/step-{step:08d}") for name in ("soon", "late"))
        assert soon.average is not None
        assert late.average is not None
        assert same(soon.weights, late.weights)
        assert same(soon.average, late.average)
        first, second = soon.optimiser["state"], late.optimiser["state"]
        assert all(same(first[number], second[number]) for number in first)
