"""Rows that count, taken out of a batch and put back into their places."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from framework.data import batch as batch_module
from framework.data.batch import Batch, fetched


def batch(weights: list[float], counted: int | None = None) -> Batch:
    rows = len(weights)
    return Batch(
        tiles=torch.arange(rows * 4.0).view(rows, 1, 1, 2, 2),
        bags=torch.arange(rows),
        tile_ids=torch.arange(rows)[:, None] + 10,
        weights=torch.tensor(weights),
        labels={"bag": torch.arange(rows) + 20, "tile": torch.arange(rows)[:, None] + 30},
        step=3,
        epoch=1,
        counted=counted,
    )


@pytest.mark.parametrize(
    ("weights", "counted", "real"),
    [([1, 1, 0], 2, [0, 1]), ([1, 1, 0], None, [0, 1]), ([0, 1, 0, 1], None, [1, 3]), ([0, 0], 0, []), ([0], None, [])],
)
def test_padding_goes_and_comes_back_as_zeros(weights: list[float], counted: int | None, real: list[int]) -> None:
    whole = batch(weights, counted)
    some = whole.without_padding()
    assert some.bags.tolist() == real
    assert some.tile_ids.tolist() == [[row + 10] for row in real]
    assert some.labels["bag"].tolist() == [row + 20 for row in real]
    assert some.labels["tile"].tolist() == [[row + 30] for row in real]
    assert torch.equal(some.tiles, whole.tiles[real])
    assert some.weights.tolist() == [1.0] * len(real)
    assert (some.step, some.epoch) == (3, 1)
    computed = torch.stack([some.bags + 1.0, some.bags + 2.0], dim=1).requires_grad_()
    back = whole.with_padding(computed)
    assert back.tolist() == [[row + 1.0, row + 2.0] if row in real else [0.0, 0.0] for row in range(len(weights))]
    back.sum().backward()
    assert computed.grad is not None
    assert torch.equal(computed.grad, torch.ones(len(real), 2))
    assert some.without_padding() is some


def test_rows_that_come_first_are_a_view() -> None:
    whole = batch([1, 1, 0], counted=2)
    assert whole.without_padding().tiles.data_ptr() == whole.tiles.data_ptr()


@pytest.mark.parametrize("counted", [3, None])
def test_without_padding_nothing_is_copied(counted: int | None) -> None:
    whole = batch([1, 1, 1], counted)
    rows = torch.ones(3, 2)
    assert whole.without_padding() is whole
    assert whole.with_padding(rows) is rows


def test_results_of_a_gpu_are_copied_at_once_and_waited_for_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is queued between the two must not be waited for."""
    story: list[str] = []

    class Event:
        def record(self) -> None:
            story.append("recorded")

        def synchronize(self) -> None:
            story.append("waited")

    class There(torch.Tensor):
        def copy_(self, source: Any, non_blocking: bool = False) -> Any:
            story.append(f"copied, non_blocking={non_blocking}")
            return super().copy_(source.values)

    def empty(shape: tuple[int, ...], *, dtype: torch.dtype, pin_memory: bool) -> torch.Tensor:
        story.append(f"page-locked={pin_memory}")
        return torch.zeros(shape, dtype=dtype).as_subclass(There)

    monkeypatch.setattr(batch_module.torch, "empty", empty)
    monkeypatch.setattr(batch_module.torch.cuda, "Event", Event)
    on_gpu: Any = SimpleNamespace(is_cuda=True, shape=(3,), dtype=torch.float32, values=torch.arange(3.0))
    read = fetched(on_gpu)
    story.append("something else is queued")
    assert read().tolist() == [0, 1, 2]
    assert story == [
        "page-locked=True",
        "copied, non_blocking=True",
        "recorded",
        "something else is queued",
        "waited",
    ]


def test_on_the_cpu_results_are_there() -> None:
    values = torch.ones(2)
    assert fetched(values)() is values
