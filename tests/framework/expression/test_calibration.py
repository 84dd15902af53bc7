"""Intervals of expression by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from framework.errors import InputError
from framework.expression.calibration import Calibration, need_held_out


def cells(count: int) -> Any:
    """Held-out cells whose expression of two genes is 1 to n and ten times that, of which nothing is predicted."""
    values = np.arange(1.0, count + 1)
    return SimpleNamespace(
        train=np.r_[True, np.zeros(count, dtype=bool)],
        scaled=np.zeros((count + 1, 1)),
        expression=np.r_[0.0, values][:, None] * np.array([[1.0, 10.0]]),
    )


NOTHING: Any = SimpleNamespace(predict=lambda scaled: np.zeros((len(scaled), 2), dtype=np.float32))


def test_all_held_out_cells_calibrate_imaged_ones_and_halves_of_them_are_counted() -> None:
    known = Calibration.of(cells(19), NOTHING, 0.9, seed=0)
    # n = 19: k = ceil(20 x 0.9) = 18. Of the true values 0, 18 and 18.5 the first two are held.
    truth = np.array([[0.0, 0.0], [18.0, 180.0], [18.5, 180.5]], dtype=np.float32)
    assert known.held(np.zeros((3, 2), dtype=np.float32), truth).tolist() == pytest.approx([2 / 3, 2 / 3])
    # One half has 9 cells: k = ceil(10 x 0.9) = 9, its largest error; of the others those below it are held.
    order = np.random.default_rng(0).permutation(19)
    expected = np.mean(order[9:] <= order[:9].max())
    assert known.covered.tolist() == pytest.approx([expected, expected])
    (on_cells,) = known.notes({})
    assert on_cells.startswith("intervals of nominal 90.0% hold")
    assert "so nothing is promised there" in known.notes({"standard": known.covered})[1]


def test_too_few_held_out_cells_are_refused_before_any_work() -> None:
    need_held_out(cells(18), 0.9)
    need_held_out(cells(3), None)
    with pytest.raises(
        InputError, match=r"interval 0\.9: needs 18 held-out single cells, .* found 17; raise test_frac"
    ):
        need_held_out(cells(17), 0.9)
