"""Memory is used again, and never while anybody can still see it."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from framework.data.loading.buffers import Recycler


def test_memory_nobody_holds_is_used_again() -> None:
    arrays = Recycler((4, 3), np.uint16, keep=2)
    first = arrays.take()
    place = first.ctypes.data
    assert first.shape == (4, 3)
    assert first.dtype == np.uint16
    del first
    assert arrays.take().ctypes.data == place


@pytest.mark.parametrize(
    "view",
    [
        lambda array: array,
        lambda array: array[1:, ::2],
        torch.from_numpy,
        lambda array: torch.from_numpy(array).view(2, 2, 3)[1],
        lambda array: torch.from_numpy(array).detach().numpy(),
    ],
)
def test_any_view_keeps_its_values(view: object) -> None:
    arrays = Recycler((4, 3), np.float32, keep=2)
    array = arrays.take()
    array[:] = 7
    held = view(array)  # type: ignore[operator]
    del array
    gc.collect()
    for _ in range(5):
        arrays.take()[:] = -1
    assert (np.asarray(held) == 7).all()


def test_arrays_beyond_the_kept_ones_belong_to_their_holders() -> None:
    arrays = Recycler((2,), np.int64, keep=2)
    held = [arrays.take() for _ in range(6)]
    assert len({array.ctypes.data for array in held}) == 6
    for number, array in enumerate(held):
        array[:] = number
    assert [array.tolist() for array in held] == [[number, number] for number in range(6)]
