"""Runs that count epochs, keep an average, compute in fp16 or follow another schedule: stopped, resumed, used."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.tiny_run import ROOT, TRIPLET, config, difference, same_bits, start, tiny_data, weights
from safetensors.torch import load_file

from framework.config import to_yaml
from framework.errors import ConfigError, RunError
from framework.run import RunConfig, fit, open_run, rehearse
from framework.run.train import rehearsal
from framework.tracking import read_metrics

PLAN = "plan={name: bags, bags: 5, tiles: 2}"
KEPT = ("train.save_every=1", "train.keep=20", "train.log_every=1", "train.steps=null", PLAN)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("length") / "data"
    tiny_data(folder)
    return folder


def asked(data: Path, run: Path, *overrides: str) -> RunConfig:
    return config(TRIPLET, *KEPT, *overrides, run=run, data=data)


def averages(run: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoints" / f"step-{step:08d}" / "average.safetensors")


CASES = {
    "epochs": ("train.epochs=2",),
    "fp16": ("train.epochs=2", "train.precision=fp16"),
    "average": ("train.epochs=2", "train.ema={decay: 0.9}", "train.evaluate_every=3"),
    "linear": ("train.epochs=2", "optim.schedule={name: linear, end: 0.1}"),
    "step": ("train.epochs=2", "optim.schedule={name: step, every: 2, factor: 0.5}"),
    "one_cycle": ("train.epochs=2", "optim.schedule=one_cycle", "optim.warmup_steps=0"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_resumed_ends_bit_for_bit_where_an_unbroken_one_ends(
    data: Path, tmp_path: Path, case: str
) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    fit(asked(data, whole, *CASES[case]))
    steps = int(read_metrics(whole)["step"].max())
    fit(asked(data, parted, *CASES[case]))
    for step in range(steps // 2 + 1, steps + 1):
        # As if it had been killed after half of the steps.
        folder = parted / "checkpoints" / f"step-{step:08d}"
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    fit(asked(data, parted, *CASES[case]))
    assert same_bits(weights(parted, steps), weights(whole, steps))
    if case == "average":
        assert same_bits(averages(parted, steps), averages(whole, steps))
    rates = read_metrics(whole)["lr"].tolist()
    assert len(rates) == steps
    assert read_metrics(parted)["lr"].tolist() == rates


def test_an_epoch_has_as_many_steps_as_the_plan_says(data: Path, tmp_path: Path) -> None:
    fit(asked(data, tmp_path / "run", "train.epochs=3"))
    # 12 of 24 wells train: 3 steps of at most 5 wells visit each once.
    assert read_metrics(tmp_path / "run")["step"].max() == 9
    with pytest.raises(RunError, match=r"optim\.warmup_steps: expected fewer than the 3 steps of train\.epochs=1"):
        fit(asked(data, tmp_path / "b", "train.epochs=1", "optim.warmup_steps=3"))


def test_a_run_counts_steps_or_epochs(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train: missing key; expected steps \(how many to train\), or epochs"):
        asked(data, tmp_path)
    with pytest.raises(ConfigError, match=r"train\.epochs: expected either train\.steps or train\.epochs, found both"):
        asked(data, tmp_path, "train.epochs=1", "train.steps=2")


@pytest.mark.parametrize("results", [True, False])
def test_a_run_is_used_with_its_average_where_that_is_asked(data: Path, tmp_path: Path, results: bool) -> None:
    run = tmp_path / "run"
    ema = f"train.ema={{decay: 0.9, results: {str(results).lower()}}}"
    fit(asked(data, run, "train.epochs=2", ema))
    steps = int(read_metrics(run)["step"].max())
    used = {name: value for name, value in open_run(run).objective.named_parameters() if value.requires_grad}
    expected = averages(run, steps) if results else {name: weights(run, steps)[name] for name in used}
    assert same_bits({name: value.detach() for name, value in used.items()}, expected)
    assert difference(averages(run, steps), {name: weights(run, steps)[name] for name in used}) > 1e-3


@pytest.mark.distributed
def test_two_ranks_keep_the_average_of_one(data: Path, tmp_path: Path) -> None:
    changes = ("train.epochs=3", "train.ema={decay: 0.9}", "optim.name=sgd", "optim.lr=0.1", "optim.clip_norm=null")
    alone = asked(data, tmp_path / "1", *changes, "objective.backbone.dropout=0")
    together = asked(data, tmp_path / "2", *changes, "objective.backbone.dropout=0")
    fit(alone)
    file = tmp_path / "2.yaml"
    file.write_text(to_yaml(together))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = start([sys.executable, *torchrun, str(ROOT / "tests/fixtures/several_runs.py"), str(file)])
    assert done.returncode == 0, done.stderr[-3000:]
    steps = int(read_metrics(tmp_path / "1")["step"].max())
    assert difference(averages(tmp_path / "2", steps), averages(tmp_path / "1", steps)) <= 1e-5


def test_a_header_says_what_trains_on_what(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(asked(data, tmp_path / "run", "train.epochs=2", "train.log_every=100"))
    lines = capsys.readouterr().err.splitlines()
    found = open_run(tmp_path / "run").objective
    numbers = sum(value.numel() for value in found.parameters())
    assert lines[0].startswith("triplet_mil on ")
    assert ", fp32; " in lines[1]
    assert f"{numbers} parameters train" in lines[1]
    assert lines[2] == "6 steps of 10 tiles, 3 steps per epoch of each bag once (2 epochs); begins"
    assert lines[3].startswith("step 1/6  loss ")
    assert "with start-up; at most about" in lines[3]


def test_a_rehearsal_measures_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    found = rehearse(asked(data, run, "train.epochs=2"))
    assert not run.exists()
    assert found.tiles_per_step == 10
    assert 0.0 < found.step_s < 60.0
    assert [line.split("=")[0] for line in found.lighter] == ["objective.gradient_cache", "plan.tiles"]
    assert all(" GB, " in line for line in found.lighter)
    assert found.memory.endswith("GB with the libraries")
    assert 0.05 < float(found.memory.split()[0]) < 50.0


def test_a_lighter_form_is_not_measured_with_the_network_before_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU counts all weights, gradients and moments that are still there."""
    built: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []
    build, forget = rehearsal.build, rehearsal._forget_peak

    def building(*given: Any) -> Any:
        made = build(*given)
        built.append(weakref.ref(next(made.collaborators.objective.parameters())))
        return made

    def forgetting(device: torch.device) -> None:
        forget(device)
        alive.append(sum(each() is not None for each in built))

    monkeypatch.setattr(rehearsal, "build", building)
    monkeypatch.setattr(rehearsal, "_forget_peak", forgetting)
    gc.disable()  # it comes at its own time, and not where a rehearsal begins anew
    try:
        rehearse(asked(data, tmp_path / "run", "train.epochs=2"))
    finally:
        gc.enable()
    assert alive == [0, 0, 0]


def test_a_rehearsal_refuses_what_training_refuses(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="channel"):
        rehearse(asked(data, tmp_path / "run", "train.epochs=2", "data.channels=[nowhere]"))


PARTS = {
    "triplets": (
        (),
        "each step in 4 parts of at most 3 tiles per process; each is computed twice, because the loss compares the "
        "rows of the whole step",
    ),
    "bags": (
        ("objective={name: omics_bags, targets: [rna], backbone: {name: small_cnn, widths: [4], norm: group}}",),
        "each step in 4 parts of at most 4 tiles per process; their gradients are added up",
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_steps_in_parts_say_so_and_end_with_the_weights_of_whole_ones(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    changes, line = PARTS[case]
    plain = ("optim.name=sgd", "optim.lr=0.01", *changes, "train.epochs=1")
    if case == "triplets":
        plain = (*plain, "objective.backbone.dropout=0")
    fit(asked(data, tmp_path / "whole", *plain))
    capfd.readouterr()
    fit(asked(data, tmp_path / "parts", *plain, "train.accumulate=4"))
    assert line in capfd.readouterr().err
    assert difference(weights(tmp_path / "parts", 3), weights(tmp_path / "whole", 3)) < 1e-5


def test_a_step_has_no_more_parts_than_rows(data: Path, tmp_path: Path) -> None:
    bags = (*PARTS["bags"][0], "train.epochs=1")
    with pytest.raises(RunError, match=r"train\.accumulate: expected at most 5, the rows of a step .*, found 6"):
        fit(asked(data, tmp_path / "run", *bags, "train.accumulate=6"))
    with pytest.raises(RunError, match=r"expected at most 10, the tiles of a step .*, found 11"):
        fit(asked(data, tmp_path / "run", "train.epochs=1", "train.accumulate=11"))
    with pytest.raises(ConfigError, match=r"with train\.accumulate 'triplet_mil' computes the rows in parts"):
        asked(data, tmp_path, "train.epochs=1", "train.accumulate=2", "train.batch_norm=sync")
