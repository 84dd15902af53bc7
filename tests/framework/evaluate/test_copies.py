"""Rows that are copies of others, counted by hand."""

from __future__ import annotations

import numpy as np

from framework.evaluate.copies import copies


def test_every_row_of_a_group_counts() -> None:
    values = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0], [-0.0, 1.0], [1.0, 2.0], [3.0, 3.0]], dtype=np.float32)
    (said,) = copies(values, list("abcdef"), "wells")
    assert said.startswith("5 of 6 wells have exactly the values of another one (such as 'a' and 'c')")


def test_rows_that_differ_are_not_copies() -> None:
    assert copies(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0 + 1e-12]]), list("abc"), "wells") == []
    assert copies(np.empty((0, 3)), [], "wells") == []
