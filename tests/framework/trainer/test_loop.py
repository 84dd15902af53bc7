"""The loop with a made-up objective and loader: what it computes, when it saves, how it stops."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.line import OPTIM, Line, Random, collaborators, same, weights
from torch import nn

from framework import checkpoint
from framework.checkpoint import Checkpoint
from framework.data.batch import Batch
from framework.distributed import Ranks
from framework.errors import RunError
from framework.tracking import read_audit, read_metrics
from framework.trainer import (
    AdamWConfig,
    Average,
    Collaborators,
    EmaConfig,
    Progress,
    TrainConfig,
    fit,
)
from framework.trainer.optimisers import SgdConfig


def test_one_step_is_the_gradient_of_the_mean(tmp_path: Path) -> None:
    train, optim = TrainConfig(steps=1), SgdConfig(lr=0.5, betas=(0.0, 0.0), weight_decay=0.0)
    run = collaborators(tmp_path, optim, 1, Random())
    run.objective.noise = nn.Identity()
    before = weights(run)
    fit(run, train, optim, Progress())
    other = Line()
    other.noise = nn.Identity()
    batch = next(Random().batches(0, 1))
    losses = other(batch, lambda x: x)
    (losses.total / 7).backward()
    assert losses.count == 7
    expected = before["layer.weight"] - 0.5 * other.layer.weight.grad
    assert torch.allclose(run.objective.layer.weight, expected, rtol=1e-6)


def test_resuming_ends_bit_for_bit_where_an_unbroken_run_ends(tmp_path: Path) -> None:
    train = TrainConfig(steps=12, save_every=5)
    whole = collaborators(tmp_path / "whole", OPTIM, 12, Random())
    fit(whole, train, OPTIM, Progress())

    run = collaborators(tmp_path / "resumed", OPTIM, 12, Random())
    torch.manual_seed(99)
    found = checkpoint.load(tmp_path / "whole" / "checkpoints" / "step-00000010")
    checkpoint.restore(found, run.objective)
    run.optimiser.load_state_dict(found.optimiser)
    assert found.scheduler is not None
    run.scheduler.load_state_dict(found.scheduler)
    fit(run, train, OPTIM, Progress.from_plain(found.state["progress"]))
    assert same(weights(run), weights(whole))


def test_checkpoints_metrics_and_audit_are_written(tmp_path: Path) -> None:
    source = Random()
    run = collaborators(tmp_path, OPTIM, 7, source)
    outcome = fit(run, TrainConfig(steps=7, save_every=3, keep=2, log_every=2), OPTIM, Progress())
    assert (outcome.ended_by, outcome.progress.step) == ("steps", 7)
    assert source.closed == 1
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("step-*")) == ["step-00000006", "step-00000007"]
    table = read_metrics(tmp_path)
    assert table["step"].tolist() == [2, 4, 6, 7]
    assert (table["twice"] / table["loss"]).tolist() == pytest.approx([2, 2, 2, 2])
    assert table["lr"][0] == pytest.approx(0.01 * 2 / 3)
    assert {"tiles_per_s", "wait_share", "wait_rank", "grad_norm"} <= set(table.columns)
    trail = read_audit(tmp_path)
    assert [trail.records[0, step][0][1] for step in range(7)] == [7] * 7
    state = json.loads((tmp_path / "checkpoints" / "step-00000007" / "state.json").read_text())
    assert state["progress"] == {"step": 7, "best_step": None, "best_loss": None, "stale": 0}


def test_a_number_that_is_none_stops_before_anything_is_saved(tmp_path: Path) -> None:
    run = collaborators(tmp_path, OPTIM, 9, Random(poison=5))
    with pytest.raises(RunError, match=r"step 5: the loss is nan.*optim\.clip_norm=1"):
        fit(run, TrainConfig(steps=9, save_every=3), OPTIM, Progress())
    assert checkpoint.newest_valid(tmp_path / "checkpoints") == tmp_path / "checkpoints" / "step-00000003"


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")])
def test_a_signal_ends_the_step_and_saves(tmp_path: Path, number: int, name: str) -> None:
    before = signal.getsignal(number)
    run = collaborators(tmp_path, OPTIM, 50, Random(tell=(4, number)))
    outcome = fit(run, TrainConfig(steps=50), OPTIM, Progress())
    assert (outcome.ended_by, outcome.progress.step) == (name, 5)
    assert checkpoint.newest_valid(tmp_path / "checkpoints") == tmp_path / "checkpoints" / "step-00000005"
    assert signal.getsignal(number) is before


def test_patience_keeps_the_best_step(tmp_path: Path) -> None:
    class Worse(Random):
        """Ten times larger numbers in each pass, so that the first evaluation stays the best."""

        def batches(self, start: int, stop: int) -> Iterator[Batch]:
            for batch in super().batches(start, stop):
                yield replace(batch, tiles=batch.tiles * 10**self.closed)

    optim = AdamWConfig(lr=1e-6)
    run = collaborators(tmp_path, optim, 100, Random(), validation=(Worse(), 2))
    train = TrainConfig(steps=100, evaluate_every=2, patience=3, keep=1)
    outcome = fit(run, train, optim, Progress())
    assert outcome.ended_by == "patience"
    assert (outcome.progress.step, outcome.progress.best_step) == (8, 2)
    assert checkpoint.read_pointer(tmp_path / "checkpoints", "best") == tmp_path / "checkpoints" / "step-00000002"
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("step-*")) == ["step-00000002", "step-00000008"]
    assert read_metrics(tmp_path)["val_loss"].dropna().min() == outcome.progress.best_loss


def test_validation_does_not_change_training(tmp_path: Path) -> None:
    train = TrainConfig(steps=6, evaluate_every=2)
    first = collaborators(tmp_path / "a", OPTIM, 6, Random(), validation=(Random(), 3))
    second = collaborators(tmp_path / "b", OPTIM, 6, Random())
    fit(first, train, OPTIM, Progress())
    fit(second, train, OPTIM, Progress())
    assert same(weights(first), weights(second))
    assert first.objective.modes[:6] == [(True, True)] * 2 + [(False, False)] * 3 + [(True, True)]


def test_frozen_batch_norm_keeps_its_statistics(tmp_path: Path) -> None:
    run = collaborators(tmp_path, OPTIM, 3, Random())
    before = run.objective.norm.running_mean.clone()
    fit(run, TrainConfig(steps=3, batch_norm="frozen"), OPTIM, Progress())
    assert torch.equal(run.objective.norm.running_mean, before)
    assert run.objective.modes == [(True, False)] * 3


def test_steady_state_leaves_out_the_first_steps(tmp_path: Path) -> None:
    class Slow(Random):
        def batches(self, start: int, stop: int) -> Iterator[Batch]:
            for batch in super().batches(start, stop):
                # 1,000 s of waiting in the first steps only; the wall clock does not have to agree.
                self.wait_s += 1000.0 if batch.step < 5 else 0.0
                yield batch

    outcome = fit(collaborators(tmp_path, OPTIM, 9, Slow()), TrainConfig(steps=9), OPTIM, Progress())
    assert outcome.speed is not None
    assert outcome.speed.wait_share == 0.0
    assert outcome.values["wait_share"] == 1.0
    short = fit(collaborators(tmp_path, OPTIM, 5, Slow()), TrainConfig(steps=5), OPTIM, Progress())
    assert short.speed is None


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")])
@pytest.mark.parametrize("at", [0, 3])
def test_a_signal_ends_a_validation_pass_and_the_resumed_run_makes_it_first(
    tmp_path: Path, number: int, name: str, at: int
) -> None:
    """The run ends as one that was never stopped: same weights, losses and best step."""
    train = TrainConfig(steps=6, save_every=3, evaluate_every=2, patience=9)
    whole = collaborators(tmp_path / "whole", OPTIM, 6, Random(), validation=(Random(), 5))
    expected = fit(whole, train, OPTIM, Progress())

    told = Random(tell=(at, number))
    run = collaborators(tmp_path / "run", OPTIM, 6, Random(), validation=(told, 5))
    stopped = fit(run, train, OPTIM, Progress())
    assert stopped.ended_by == name
    assert stopped.progress == Progress(step=2, owes_evaluation=True)
    assert len(run.objective.modes) == 2 + at, "no batch of validation after the signal"
    assert told.closed == 1
    path = tmp_path / "run" / "checkpoints" / "step-00000002"
    assert checkpoint.newest_valid(path.parent) == path

    found = checkpoint.load(path)
    again = collaborators(tmp_path / "run", OPTIM, 6, Random(), validation=(Random(), 5))
    checkpoint.restore(found, again.objective)
    again.optimiser.load_state_dict(found.optimiser)
    assert found.scheduler is not None
    again.scheduler.load_state_dict(found.scheduler)
    ended = fit(again, train, OPTIM, Progress.from_plain({**found.state["progress"], "step": 2}))
    assert ended.progress == expected.progress
    assert same(weights(again), weights(whole))
    losses = read_metrics(tmp_path / "run").set_index("step")["val_loss"].dropna()
    assert losses.index.tolist() == [2, 4, 6]
    assert losses.equals(read_metrics(tmp_path / "whole").set_index("step")["val_loss"].dropna())


def test_a_signal_in_the_last_validation_leaves_a_run_that_is_not_finished(tmp_path: Path) -> None:
    train = TrainConfig(steps=2, evaluate_every=2)
    run = collaborators(tmp_path, OPTIM, 2, Random(), validation=(Random(tell=(1, signal.SIGTERM)), 5))
    stopped = fit(run, train, OPTIM, Progress())
    assert (stopped.ended_by, stopped.progress.step) == ("SIGTERM", 2)
    again = collaborators(tmp_path, OPTIM, 2, Random(), validation=(Random(), 5))
    ended = fit(again, train, OPTIM, stopped.progress)
    assert (ended.ended_by, ended.progress.owes_evaluation) == ("steps", False)
    assert ended.progress.best_step == 2
    without = collaborators(tmp_path / "without", OPTIM, 2, Random())
    ended = fit(without, TrainConfig(steps=2), OPTIM, stopped.progress)
    assert (ended.ended_by, ended.progress.owes_evaluation) == ("steps", False), "a run may be told not to validate"


def half(run: Path, steps: int, scale: float, source: Random | None = None, **changes: Any) -> Collaborators:
    """Collaborators in fp16 whose loss begins with a scale."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    return collaborators(
        run, OPTIM, steps, source or Random(), ranks=Ranks.solo("cpu", "fp16"), scaler=scaler, **changes
    )


def test_a_gradient_that_overflows_leaves_the_weights_and_halves_the_scale(tmp_path: Path) -> None:
    run = half(tmp_path, 3, 2.0**40)
    before = weights(run)["layer.weight"]
    fit(run, TrainConfig(steps=3, precision="fp16", log_every=1), OPTIM, Progress())
    assert torch.equal(weights(run)["layer.weight"], before)
    assert run.scaler.get_scale() == 2.0**37
    assert read_metrics(tmp_path)["loss_scale"].tolist() == [2.0**39, 2.0**38, 2.0**37]


def test_fp16_learns_what_fp32_learns(tmp_path: Path) -> None:
    run = half(tmp_path / "half", 12, 2.0**10)
    whole = collaborators(tmp_path / "whole", OPTIM, 12, Random())
    fit(run, TrainConfig(steps=12, precision="fp16"), OPTIM, Progress())
    fit(whole, TrainConfig(steps=12), OPTIM, Progress())
    assert torch.allclose(weights(run)["layer.weight"], weights(whole)["layer.weight"], atol=5e-3)
    assert not same(weights(run), weights(whole))


def test_a_gradient_that_overflows_without_a_scale_ends_the_run(tmp_path: Path) -> None:
    class Large(Random):
        def batches(self, start: int, stop: int) -> Iterator[Batch]:
            for batch in super().batches(start, stop):
                yield replace(batch, tiles=batch.tiles * 1e6)

    run = half(tmp_path, 3, 0.5, Large())
    with pytest.raises(RunError, match=r"step 0: the norm of the gradient is (inf|nan)"):
        fit(run, TrainConfig(steps=3, precision="fp16"), OPTIM, Progress())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_average_and_scale_resume_bit_for_bit(tmp_path: Path, precision: Any) -> None:
    train = TrainConfig(steps=12, save_every=5, precision=precision, ema=EmaConfig(decay=0.9))

    def made(name: str, stored: Checkpoint | None = None) -> Collaborators:
        enabled = precision == "fp16"
        run = collaborators(tmp_path / name, OPTIM, 12, Random(), ranks=Ranks.solo("cpu", precision))
        if stored is not None:
            checkpoint.restore(stored, run.objective)
            run.optimiser.load_state_dict(stored.optimiser)
            run.scheduler.load_state_dict(stored.scheduler or {})
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**22, growth_interval=3, enabled=enabled)
        if stored is not None and enabled:
            scaler.load_state_dict(stored.scaler)
        average = Average(run.objective, 0.9, stored.average if stored else None)
        return replace(run, scaler=scaler, average=average)

    whole = made("whole")
    fit(whole, train, OPTIM, Progress())
    found = checkpoint.load(tmp_path / "whole" / "checkpoints" / "step-00000010")
    assert found.average is not None
    assert bool(found.scaler) == (precision == "fp16")
    again = made("again", found)
    fit(again, train, OPTIM, Progress.from_plain(found.state["progress"]))
    assert same(weights(again), weights(whole))
    last, resumed = (checkpoint.load(tmp_path / n / "checkpoints" / "step-00000012") for n in ("whole", "again"))
    assert last.average is not None
    assert resumed.average is not None
    assert same(last.average, resumed.average)
    assert last.scaler == resumed.scaler
    assert not torch.equal(last.average["layer.weight"], last.weights["layer.weight"])


def test_validation_sees_the_average_where_that_is_asked(tmp_path: Path) -> None:
    losses = {}
    for asked in (True, False):
        run = collaborators(tmp_path / str(asked), OPTIM, 8, Random(), validation=(Random(), 2))
        run = replace(run, average=Average(run.objective, 0.9))
        train = TrainConfig(steps=8, evaluate_every=8, ema=EmaConfig(decay=0.9, validation=asked))
        losses[asked] = fit(run, train, OPTIM, Progress()).values["val_loss"]
        with torch.no_grad(), run.average.in_place() if asked and run.average else nullcontext():
            run.objective.eval()
            sums = [run.objective(batch, lambda x: x) for batch in Random().batches(0, 2)]
        mean = sum(float(each.total) for each in sums) / sum(float(each.count) for each in sums)
        assert losses[asked] == pytest.approx(mean, rel=1e-6)
    assert losses[True] != losses[False]
