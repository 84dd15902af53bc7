"""Checkpoints: whole or absent, refused when damaged, the newest valid one found by name."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from framework import checkpoint
from framework.errors import CheckpointError


def trained(seed: int = 0, steps: int = 3) -> tuple[nn.Module, torch.optim.Optimizer, LambdaLR]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    scheduler = LambdaLR(optimiser, lambda step: 1 / (1 + step))
    for _ in range(steps):
        optimiser.zero_grad()
        model(torch.randn(8, 3)).square().mean().backward()
        optimiser.step()
        scheduler.step()
    return model, optimiser, scheduler


def save(folder: Path, step: int, seed: int = 0, attempt: int = 0, **facts: Any) -> Path:
    model, optimiser, scheduler = trained(seed)
    state = {"attempt": attempt, "seed": seed, **facts}
    return written(folder, step=step, objective=model, optimiser=optimiser, scheduler=scheduler, state=state)


def written(folder: Path, **given: Any) -> Path:
    return checkpoint.write(folder, checkpoint.contents_of(**given))


def flip(file: Path, position: int = -1) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(bytes(data))


def test_a_loaded_checkpoint_equals_what_was_saved_bit_for_bit(tmp_path: Path) -> None:
    model, optimiser, scheduler = trained()
    path = written(tmp_path, step=1000, objective=model, optimiser=optimiser, scheduler=scheduler, state={"seed": 7})
    assert path == tmp_path / "step-00001000"
    names = ["manifest.json", "model.safetensors", "optimiser.pt", "state.json"]
    assert sorted(file.name for file in path.iterdir()) == names
    assert checkpoint.read_pointer(tmp_path, "latest") == path
    found = checkpoint.load(path)
    assert found.step == 1000
    assert found.state == {"seed": 7, "step": 1000, "moments": 6}
    assert found.scheduler is not None
    assert found.scheduler["last_epoch"] == 3

    other, other_optimiser, _ = trained(seed=1, steps=1)
    checkpoint.restore(found, other)
    other_optimiser.load_state_dict(found.optimiser)
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
    first, second = optimiser.state_dict()["state"], other_optimiser.state_dict()["state"]
    assert all(torch.equal(first[i][name], second[i][name]) for i in first for name in ("exp_avg", "exp_avg_sq"))
    assert other_optimiser.param_groups[0]["lr"] == optimiser.param_groups[0]["lr"] == pytest.approx(0.1 / 4)


def test_optimiser_file_holds_no_code(tmp_path: Path) -> None:
    facts = torch.load(save(tmp_path, 1) / "optimiser.pt", weights_only=True)
    assert set(facts) == {"optimiser", "scheduler"}


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.pt", "state.json"])
def test_a_flipped_byte_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, 5)
    flip(path / name, 3 if name == "state.json" else -1)
    with pytest.raises(CheckpointError, match=rf"step-00000005: {name} is damaged: its content differs"):
        checkpoint.load(path)


def test_truncation_missing_files_and_unfinished_folders_are_refused(tmp_path: Path) -> None:
    short, gone, unfinished, mangled = (save(tmp_path, step) for step in (1, 2, 3, 4))
    file = short / "optimiser.pt"
    file.write_bytes(file.read_bytes()[:-10])
    (gone / "model.safetensors").unlink()
    (unfinished / "manifest.json").unlink()
    (mangled / "manifest.json").write_text('{"files": []}')
    for path, text in (
        (short, r"optimiser.pt is damaged: expected \d+ bytes, found \d+"),
        (gone, "model.safetensors is missing"),
        (unfinished, "manifest.json is missing, so it was never finished"),
        (mangled, "manifest.json is damaged"),
        (tmp_path / "step-00000009", "no such checkpoint folder"),
    ):
        with pytest.raises(CheckpointError, match=text):
            checkpoint.load(path)


def test_newest_valid_passes_over_damage_and_names_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = save(tmp_path, 10), save(tmp_path, 20)
    flip(bad / "model.safetensors")
    with caplog.at_level(logging.WARNING):
        assert checkpoint.newest_valid(tmp_path) == good
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{bad}: model.safetensors is damaged")
    flip(good / "state.json")
    assert checkpoint.newest_valid(tmp_path) is None
    assert checkpoint.newest_valid(tmp_path / "nowhere") is None


def test_unreadable_state_of_the_newest_is_reported_although_older_ones_are_valid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = save(tmp_path, 10, attempt=3)
    bad = save(tmp_path, 20, attempt=3)
    (bad / "state.json").write_bytes(b"\xff")
    assert checkpoint.newest_valid(tmp_path) == good
    assert str(bad) in caplog.text


def test_a_later_attempt_counts_as_newer_than_the_steps_it_abandoned(tmp_path: Path) -> None:
    save(tmp_path, 10, attempt=0)
    save(tmp_path, 30, attempt=0)
    after = save(tmp_path, 20, attempt=1)
    assert checkpoint.newest_valid(tmp_path) == after


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    flip(save(tmp_path, 10) / "model.safetensors")
    path = save(tmp_path, 10, seed=3)
    assert checkpoint.load(path).state["seed"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "step-00000010"]


def test_a_killed_writer_leaves_nothing_that_counts(tmp_path: Path) -> None:
    good = save(tmp_path, 10)
    torn = tmp_path / ".step-00000020.tmp-123"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    assert checkpoint.newest_valid(tmp_path) == good
    save(tmp_path, 30)
    assert not torn.exists()


def test_prune_spares_the_newest_the_best_and_the_newest_valid(tmp_path: Path) -> None:
    paths = {step: save(tmp_path, step) for step in (10, 20, 30, 40, 50)}
    checkpoint.write_pointer(tmp_path, "best", "step-00000010")
    flip(paths[50] / "model.safetensors")
    flip(paths[40] / "model.safetensors")
    removed = checkpoint.prune(tmp_path, keep=2)
    assert {path.name for path in removed} == {"step-00000020"}
    assert sorted(p.name for p in tmp_path.glob("step-*")) == [f"step-000000{s}" for s in (10, 30, 40, 50)]


def test_another_model_is_refused_with_the_first_difference(tmp_path: Path) -> None:
    found = checkpoint.load(save(tmp_path, 1))
    with pytest.raises(CheckpointError, match=r"'0.bias': expected \(5,\) float32, found \(4,\) float32"):
        checkpoint.restore(found, nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(4), nn.Linear(4, 1)))


def reseal(folder: Path, **tensors: torch.Tensor) -> Path:
    """Change tensors of a checkpoint and record the file as it is then, as a forger would."""
    file = folder / "model.safetensors"
    save_file(load_file(file) | {name.replace("_", "."): value for name, value in tensors.items()}, file)
    content = file.read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][file.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    path = reseal(save(tmp_path, 1), **{"0_bias": torch.tensor([0.0, value, 0.0, 0.0])})
    with pytest.raises(CheckpointError, match=r"1 of 9 tensors hold NaN or infinite values, first '0\.bias'"):
        checkpoint.load(path)


def forged(path: Path, name: str, content: Callable[[Path], None]) -> Path:
    """Rewrite a file of a checkpoint and its manifest with it, as someone who means to does."""
    content(path / name)
    manifest = json.loads((path / "manifest.json").read_text())
    data = (path / name).read_bytes()
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "'step' is None; expected a whole number from 0 on; resume from an older checkpoint"),
        ({"step": -4}, "'step' is -4; expected a whole number from 0 on"),
        ({"step": 10**30}, "expected a whole number from 0 on"),
        ({"step": True}, "'step' is True; expected a whole number from 0 on"),
        ({"step": 5}, "is from step 5, but its folder has the name of another step"),
    ],
)
def test_a_forged_state_is_a_sentence(tmp_path: Path, facts: dict[str, object], sentence: str) -> None:
    path = forged(save(tmp_path, 4), "state.json", lambda file: file.write_text(json.dumps(facts)) and None)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    assert str(caught.value).startswith(f"{path / 'state.json'}: ")
    assert sentence in str(caught.value)


def test_facts_of_a_checkpoint_are_of_their_kind(tmp_path: Path) -> None:
    found = checkpoint.load(save(tmp_path, 4, attempt=2, progress=[1]))
    assert found.fact("attempt", int) == 2
    with pytest.raises(CheckpointError, match=r"state.json: 'progress' is \[1\]; expected facts by name"):
        found.fact("progress", dict)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda state: state["state"][0]["exp_avg"].fill_(math.nan),
            "'exp_avg' of weights of shape (4, 3) holds values",
        ),
        (
            lambda state: state["state"][0]["exp_avg_sq"].fill_(-1.0),
            "'exp_avg_sq' of weights of shape (4, 3) holds values",
        ),
        (lambda state: state["state"][0].update(exp_avg=torch.zeros(2)), "is (2,) float32: it is of another model"),
        (lambda state: state["state"][0].update(exp_avg="x"), "is not a tensor: it is of another model"),
        (lambda state: state["state"].pop(2), "moments of 5 weight tensors, expected 6"),
        (lambda state: state["state"].clear(), "moments of 0 weight tensors, expected 6"),
        (lambda state: state["state"][2].pop("exp_avg_sq"), "'exp_avg_sq' of weight tensor 2 is missing"),
        (lambda state: state.pop("param_groups"), "not readable as the state of this optimiser"),
        (lambda state: state.update(param_groups=[]), "not readable as the state of this optimiser"),
    ],
)
def test_forged_moments_are_refused(tmp_path: Path, change: Callable[[Any], object], sentence: str) -> None:
    def write(file: Path) -> None:
        facts = torch.load(file, weights_only=True)
        change(facts["optimiser"])
        torch.save(facts, file)

    path = forged(save(tmp_path, 4), "optimiser.pt", write)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.restore_optimiser(checkpoint.load(path), trained(seed=1)[1])
    assert str(caught.value).startswith(f"{path / 'optimiser.pt'}: ")
    assert sentence in str(caught.value)


def test_a_checkpoint_from_before_moments_were_counted_is_taken(tmp_path: Path) -> None:
    def without(file: Path) -> None:
        facts = json.loads(file.read_text())
        assert facts.pop("moments") == 6
        file.write_text(json.dumps(facts))

    found = checkpoint.load(forged(save(tmp_path, 4), "state.json", without))
    checkpoint.restore_optimiser(found, trained(seed=1)[1])


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.pt", "state.json", "manifest.json"])
def test_a_file_that_is_a_link_out_of_its_checkpoint_is_passed_over(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    older, path = save(tmp_path / "run", 1), save(tmp_path / "run", 2)
    (path / name).rename(tmp_path / name)
    (path / name).symlink_to(tmp_path / name)
    assert checkpoint.newest_valid(tmp_path / "run") == older
    assert f"{name} is a link that leads out of the checkpoint" in caplog.text
    with pytest.raises(CheckpointError, match=f"{name} is a link"):
        checkpoint.load(path)


def test_the_newest_attempt_is_that_of_sound_checkpoints(tmp_path: Path) -> None:
    assert checkpoint.newest_attempt(tmp_path) == -1
    save(tmp_path, 1, attempt=2)
    flip(save(tmp_path, 2, attempt=7) / "state.json")
    assert checkpoint.newest_attempt(tmp_path) == 2


def test_options_of_an_optimiser_come_from_its_config(tmp_path: Path) -> None:
    """Those in the file are of the run that wrote it; another run that goes on from there has its own."""
    _, optimiser, _ = trained(seed=1)
    optimiser.param_groups[0].update(lr=0.5, weight_decay=0.25, betas=(0.1, 0.2))
    found = checkpoint.load(save(tmp_path, 4))
    checkpoint.restore_optimiser(found, optimiser)
    group = optimiser.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.5, 0.25, (0.1, 0.2))
    first = next(iter(optimiser.state.values()))
    assert torch.equal(first["exp_avg"], found.optimiser["state"][0]["exp_avg"])


@pytest.mark.parametrize("fused", [True, None])
def test_a_run_may_go_on_on_another_kind_of_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fused: bool | None
) -> None:
    """On a GPU one kernel makes the step and keeps its counters there; elsewhere torch chooses."""
    model, optimiser, scheduler = trained()
    optimiser.param_groups[0]["fused"] = None if fused else True
    path = written(tmp_path, step=1, objective=model, optimiser=optimiser, scheduler=scheduler, state={})
    other = torch.optim.AdamW(trained(seed=1)[0].to("meta").parameters(), lr=0.1)
    other.param_groups[0]["fused"] = fused
    # The other device holds no numbers to look at.
    monkeypatch.setattr("framework.checkpoint.store._need_moments", lambda *_: None)
    checkpoint.restore_optimiser(replace(checkpoint.load(path), state={}), other)
    assert other.param_groups[0]["fused"] is fused
    assert {moments["step"].device.type for moments in other.state.values()} == {"meta" if fused else "cpu"}


def test_weights_of_another_type_are_refused(tmp_path: Path) -> None:
    found = checkpoint.load(reseal(save(tmp_path, 1), **{"0_bias": torch.zeros(4, dtype=torch.int32)}))
    with pytest.raises(CheckpointError, match=r"'0.bias': expected \(4,\) float32, found \(4,\) int32"):
        checkpoint.restore(found, trained()[0])


def test_a_pointer_cannot_leave_the_folder(tmp_path: Path) -> None:
    assert checkpoint.read_pointer(tmp_path, "best") is None
    (tmp_path / "best").write_text("../../elsewhere\n")
    with pytest.raises(CheckpointError, match="expected a name like step-00001000"):
        checkpoint.read_pointer(tmp_path, "best")


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    path = written(tmp_path, step=1, objective=model, optimiser=optimiser, scheduler=None, state={})
    assert torch.equal(checkpoint.load(path).weights["1.weight"], model[0].weight)


def test_manifest_lists_size_and_digest_of_every_file(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    files = json.loads((path / "manifest.json").read_text())["files"]
    assert {name: facts["bytes"] for name, facts in files.items()} == {
        name: (path / name).stat().st_size for name in ("model.safetensors", "optimiser.pt", "state.json")
    }


@pytest.mark.parametrize("limit_bytes", [100, 1500])
def test_a_disk_that_refuses_leaves_a_sentence_and_the_older_checkpoint(tmp_path: Path, limit_bytes: int) -> None:
    older = save(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        with pytest.raises(CheckpointError, match=r"step-00000002: cannot be written: .*run the same command again"):
            save(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.newest_valid(tmp_path) == older
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", older.name]
