"""Numbers that are read a step late, as on a GPU: the same training, and nothing that depends on them is missed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from fixtures.line import OPTIM, Random, collaborators, same, weights

from framework import checkpoint
from framework.distributed import Ranks
from framework.errors import RunError
from framework.objectives import Losses
from framework.tracking import read_metrics
from framework.trainer import Progress, TrainConfig, fit, step_numbers
from framework.trainer.step_numbers import Seen, StepFacts, Unread


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(step_numbers, "LATE_ON", frozenset({"cpu"}))


def facts(step: int, loss: float = 6.0, told: float = 0.0, gradient: float = 2.0) -> StepFacts:
    zero = torch.zeros(())
    return StepFacts(
        step=step,
        losses=Losses(total=zero, count=zero, parts={}),
        rate=0.1,
        sums=torch.tensor([loss, 3.0, told, 0.0, gradient], dtype=torch.float64),
        scaler=torch.amp.GradScaler(enabled=False),
        ranks=Ranks.solo(),
    )


def steps(seen: list[Seen]) -> list[int]:
    return [each.step for each in seen]


def test_on_a_processor_each_step_is_read_at_once() -> None:
    unread = Unread()
    assert unread.after(facts(0), settle=False) == [Seen(step=0, loss=2.0, gradient_norm=2.0, stopped_by=None)]
    assert steps(unread.after(facts(1), settle=False)) == [1]


@pytest.mark.usefixtures("late")
def test_a_step_is_read_after_the_next_one_or_when_it_is_needed() -> None:
    unread = Unread()
    assert steps(unread.after(facts(0), settle=False)) == []
    assert steps(unread.after(facts(1), settle=False)) == [0]
    assert steps(unread.after(facts(2), settle=True)) == [1, 2]
    assert steps(unread.after(facts(3), settle=False)) == []
    # Whoever was told to stop makes no further step, so the last one is read too.
    assert steps(unread.after(facts(4, told=1.0), settle=False)) == [3]
    assert [(each.step, each.stopped_by) for each in unread.after(facts(5), settle=False)] == [
        (4, "SIGTERM"),
        (5, None),
    ]


@pytest.mark.usefixtures("late")
def test_a_number_that_is_none_is_found_a_step_later_with_its_own_step() -> None:
    unread = Unread()
    assert unread.after(facts(7, gradient=float("inf")), settle=False) == []
    with pytest.raises(RunError, match="step 7: the norm of the gradient is inf"):
        unread.after(facts(8), settle=False)


@pytest.mark.usefixtures("late")
def test_late_reading_changes_neither_weights_nor_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = TrainConfig(steps=12, save_every=5, log_every=3)
    run = collaborators(tmp_path / "late", OPTIM, 12, Random())
    fit(run, train, OPTIM, Progress())
    monkeypatch.setattr(step_numbers, "LATE_ON", frozenset())
    at_once = collaborators(tmp_path / "at once", OPTIM, 12, Random())
    fit(at_once, train, OPTIM, Progress())
    assert same(weights(run), weights(at_once))
    kept = ["step", "loss", "lr", "grad_norm"]
    assert read_metrics(tmp_path / "late")[kept].equals(read_metrics(tmp_path / "at once")[kept])


@pytest.mark.usefixtures("late")
def test_a_signal_is_followed_one_step_later_and_that_step_is_saved(tmp_path: Path) -> None:
    run = collaborators(tmp_path, OPTIM, 50, Random(tell=(4, signal.SIGTERM)))
    outcome = fit(run, TrainConfig(steps=50), OPTIM, Progress())
    assert (outcome.ended_by, outcome.progress.step) == ("SIGTERM", 6)
    assert checkpoint.newest_valid(tmp_path / "checkpoints") == tmp_path / "checkpoints" / "step-00000006"


@pytest.mark.usefixtures("late")
def test_no_checkpoint_is_written_of_a_loss_that_is_none(tmp_path: Path) -> None:
    run = collaborators(tmp_path, OPTIM, 9, Random(poison=5))
    with pytest.raises(RunError, match="step 5: the loss is nan"):
        fit(run, TrainConfig(steps=9, save_every=3), OPTIM, Progress())
    assert checkpoint.newest_valid(tmp_path / "checkpoints") == tmp_path / "checkpoints" / "step-00000003"
