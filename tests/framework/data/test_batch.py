"""Rows that count, taken out of a batch and put back into their places."""

from __future__ import annotations

import pytest
import torch

from framework.data.batch import Batch


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
