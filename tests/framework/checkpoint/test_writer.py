"""Checkpoints beside training: copied when asked for, one at a time, and no failure is lost."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from framework import checkpoint
from framework.checkpoint import Contents, Writer, contents_of, writing
from framework.checkpoint.contents import Buffers, Copy
from framework.errors import CheckpointError
from framework.files.tensors import save_tensors


class Training:
    """A model whose every tensor is filled with the number of its step."""

    def __init__(self) -> None:
        self.model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(self.model.parameters())
        self.average = {"a": torch.zeros(3)}
        self.facts: dict[str, Any] = {"list": [0]}

    def step(self, number: int) -> Contents:
        for value in self.model.parameters():
            value.grad = torch.full_like(value, float(number))
        self.optimiser.step()
        with torch.no_grad():
            for each in (*self.model.state_dict().values(), *self.average.values()):
                each.fill_(number)
        self.facts["list"][0] = number
        return contents_of(
            step=number,
            objective=self.model,
            optimiser=self.optimiser,
            scheduler=None,
            state=self.facts,
            average=self.average,
        )


def held(writer: Writer, folder: Path, contents: Contents) -> threading.Event:
    """Save, and let the writing begin with the event that is returned."""
    go = threading.Event()

    def wait() -> None:
        go.wait(10)

    writer.save(folder, contents, keep=9, is_best=False, before=wait)
    return go


def test_what_training_does_meanwhile_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    training, writer = Training(), Writer()
    moments: dict[int, torch.Tensor] = {}
    for number in (1, 2, 3):
        contents = training.step(number)
        moments[number] = training.optimiser.state_dict()["state"][0]["exp_avg"].clone()
        go = held(writer, tmp_path, contents)
        # What changes in a forward pass, or on no set occasion, may change at once.
        training.model[1].running_mean.fill_(number + 5)  # type: ignore[union-attr, operator]
        training.facts["list"][0] = number + 5
        writer.settle()
        training.step(number + 10)
        go.set()
        writer.wait()
        found = checkpoint.load(tmp_path / f"step-{number:08d}")
        assert all((value == number).all() for value in found.weights.values())
        assert found.average is not None
        assert (found.average["a"] == number).all()
        assert found.state == {"list": [number], "step": number, "moments": 4}
        assert torch.equal(found.optimiser["state"][0]["exp_avg"], moments[number])
        assert float(found.optimiser["state"][0]["step"]) == 2 * number - 1
        assert found.optimiser["state"][0]["exp_avg"].is_contiguous(memory_format=torch.channels_last)


def test_training_waits_for_the_copy_before_weights_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no longer: writing goes on meanwhile."""
    go, real = threading.Event(), Copy.finish

    def late(self: Copy) -> None:
        go.wait(10)
        real(self)

    monkeypatch.setattr(Copy, "finish", late)
    training, writer = Training(), Writer()
    written = held(writer, tmp_path, training.step(1))
    settled = threading.Thread(target=writer.settle)
    settled.start()
    settled.join(0.2)
    assert settled.is_alive()
    go.set()
    settled.join(10)
    assert not settled.is_alive()
    training.step(2)
    assert checkpoint.newest_valid(tmp_path) is None
    written.set()
    writer.wait()
    assert all((value == 1).all() for value in checkpoint.load(tmp_path / "step-00000001").weights.values())


def test_weights_that_change_before_the_optimisers_step_are_named(tmp_path: Path) -> None:
    training, writer = Training(), Writer()
    writer.save(tmp_path, training.step(1), keep=1, is_best=False)
    with torch.no_grad():
        training.model[0].weight.mul_(2)  # type: ignore[union-attr, operator]
    with pytest.raises(CheckpointError, match=r"step 1 cannot be kept: weights changed before .*register_buffer"):
        writer.settle()
    writer.settle()


def test_a_copy_that_fails_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Copy) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(Copy, "finish", fails)
    writer = Writer()
    writer.save(tmp_path, Training().step(1), keep=1, is_best=False)
    writer.settle()
    with pytest.raises(MemoryError, match="no room"):
        writer.wait()
    assert checkpoint.newest_valid(tmp_path) is None


def test_what_the_optimiser_does_not_train_is_copied_at_once() -> None:
    """An objective may change it itself, as the average of another network."""
    training = Training()
    own = nn.Parameter(torch.zeros(2), requires_grad=False)
    training.model.register_parameter("own", own)
    training.model.tied = training.model[0]
    copied = Buffers().copy(training.step(1))
    late = {value.data_ptr() for value, _ in copied.late}
    weights = training.model.state_dict()
    assert {name for name, value in weights.items() if value.data_ptr() in late} == {
        f"{layer}.{kind}" for layer in ("0", "1", "tied") for kind in ("weight", "bias")
    }
    assert len(copied.late) == 6 + 4 * 3 + 1, "weights, two moments and a count for each, the average"


def test_copies_go_where_those_of_the_checkpoint_before_lay() -> None:
    training, buffers = Training(), Buffers()

    def places(contents: Contents) -> list[int]:
        parts: list[Mapping[str, torch.Tensor]] = [
            *contents.tensors.values(),
            *contents.facts["optimiser"]["state"].values(),
        ]
        return [value.data_ptr() for part in parts for value in part.values()]

    first, second = (buffers.copy(training.step(number)).contents for number in (1, 2))
    assert places(first) == places(second)
    assert len(set(places(first))) == len(places(first))


def test_a_checkpoint_waits_for_the_one_before(tmp_path: Path) -> None:
    training, writer = Training(), Writer()
    go = held(writer, tmp_path, training.step(1))
    second = threading.Thread(target=held, args=(writer, tmp_path, training.step(2)))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    assert checkpoint.newest_valid(tmp_path) is None
    go.set()
    second.join(10)
    assert checkpoint.newest_valid(tmp_path) == tmp_path / "step-00000001"


def test_a_failure_is_raised_once_by_whichever_call_is_next(tmp_path: Path) -> None:
    training = Training()

    def full() -> None:
        raise CheckpointError("the disk is full")

    for call in ("check", "wait", "save"):
        writer = Writer()
        writer.save(tmp_path / call, training.step(1), keep=1, is_best=False, before=full)
        assert writer._thread is not None
        writer._thread.join()
        again = partial(writer.save, tmp_path / call, training.step(2), keep=1, is_best=False)
        calls: dict[str, Callable[[], None]] = {"check": writer.check, "wait": writer.wait, "save": again}
        with pytest.raises(CheckpointError, match="the disk is full"):
            calls[call]()
        writer.check()
        assert not (tmp_path / call).exists()


def test_the_end_waits_and_does_not_hide_the_error_that_ended_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full() -> None:
        raise CheckpointError("the disk is full")

    with Writer() as writer:
        writer.save(tmp_path, Training().step(1), keep=1, is_best=True)
    assert checkpoint.read_pointer(tmp_path, "best") == checkpoint.newest_valid(tmp_path) == tmp_path / "step-00000001"
    with pytest.raises(CheckpointError, match="the disk is full"), Writer() as writer:
        writer.save(tmp_path, Training().step(2), keep=1, is_best=False, before=full)

    def ends(number: int, before: Callable[[], None] | None = None) -> None:
        with Writer() as writer:
            writer.save(tmp_path, Training().step(number), keep=1, is_best=False, before=before)
            raise KeyError

    with caplog.at_level(logging.ERROR), pytest.raises(KeyError):
        ends(2, full)
    assert caplog.messages == ["the disk is full"]
    with pytest.raises(KeyError):
        ends(3)
    assert checkpoint.newest_valid(tmp_path) == tmp_path / "step-00000003"


def test_nothing_is_hashed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    real = hashlib.file_digest

    def counted(stream: Any, name: str) -> Any:
        hashed.append(Path(stream.name).name)
        return real(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    training = Training()
    with Writer() as writer:
        for number in (1, 2):
            writer.save(tmp_path, training.step(number), keep=1, is_best=False)
    assert sorted(hashed) == sorted(["model.safetensors", "average.safetensors", "optimiser.pt", "state.json"] * 2)
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000002"]


def test_a_disk_that_gives_back_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        save_tensors(file, {name: torch.zeros_like(value) for name, value in tensors.items()})

    monkeypatch.setattr(writing, "save_tensors", forgetful)
    with pytest.raises(CheckpointError, match=r"model\.safetensors reads back with other bytes than were written"):
        writing.write(tmp_path, Training().step(1))
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_no_numbers_read_back_as_they_are(tmp_path: Path) -> None:
    model = nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight[0] = torch.nan
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    contents = checkpoint.contents_of(step=1, objective=model, optimiser=optimiser, scheduler=None, state={})
    writing.write(tmp_path, contents)
    assert checkpoint.newest_valid(tmp_path) == tmp_path / "step-00000001"
