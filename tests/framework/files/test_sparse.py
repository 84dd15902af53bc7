"""Positions of sparse matrices, wrong in each way that native code would follow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from framework.files import sparse as checked
from framework.files.sparse import check_compressed, checked_csr

DATA, INDICES, INDPTR = np.array([1.0, 2.0, 3.0]), np.array([0, 2, 1]), np.array([0, 2, 2, 3])


def test_a_sound_matrix_passes() -> None:
    assert checked_csr(DATA, INDICES, INDPTR, (3, 4)).toarray().tolist() == [[1, 0, 2, 0], [0] * 4, [0, 3, 0, 0]]
    check_compressed(DATA, INDICES, INDPTR, (4, 3), "column")
    check_compressed(np.zeros(0), np.zeros(0, int), np.zeros(1, int), (0, 5), "row")


@pytest.mark.parametrize(
    ("data", "indices", "indptr", "shape", "said"),
    [
        (DATA, INDICES, [0, 3, 2, 3], (3, 4), "does not rise"),
        (DATA, INDICES, [1, 2, 2, 3], (3, 4), "does not rise"),
        (DATA, INDICES, [0, 2, 2, 2**31 - 1], (3, 4), "does not rise"),
        (DATA, INDICES, [0, 2, 3], (3, 4), "3 entries in 'indptr', expected 4"),
        (DATA, [0, 4, 1], INDPTR, (3, 4), "holds 4; expected 0 to 3"),
        (DATA, [0, -1, 1], INDPTR, (3, 4), "holds -1"),
        (DATA[:2], INDICES, INDPTR, (3, 4), "3 positions and 2 values"),
        (DATA, [0.0, 1.0, 2.0], INDPTR, (3, 4), "not a list of whole numbers"),
        (DATA, [[0, 1, 2]], INDPTR, (3, 4), "not a list of whole numbers"),
        (DATA, INDICES, INDPTR, (3, -4), "expected two sizes"),
        (DATA, INDICES, INDPTR, (3,), "expected two sizes"),
        (DATA, INDICES, np.zeros(0, int), (-1 + 0, 4), "expected two sizes"),
    ],
)
def test_contradictions_are_refused(
    data: object, indices: object, indptr: object, shape: tuple[int, int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        checked_csr(np.asarray(data), np.asarray(indices), np.asarray(indptr), shape)


def test_positions_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "_BLOCK", 2)
    with pytest.raises(ValueError, match="holds 9"):
        check_compressed(DATA, np.array([0, 2, 9]), INDPTR, (3, 4), "row")


def test_values_at_one_place_are_counted() -> None:
    twice = sparse.coo_array(([1.0, 2.0, 4.0, 8.0], ([0, 0, 1, 0], [0, 0, 1, 0])), shape=(2, 2))
    assert [checked.repeated_places(form) for form in (twice, np.eye(2), sparse.eye_array(2).tocsc())] == [2, 0, 0]
    rows = sparse.csr_array(([1.0, 2.0], [0, 0], [0, 2, 2]), shape=(2, 2))
    assert checked.repeated_places(rows) == 1
    assert rows.data.tolist() == [1.0, 2.0], "the matrix itself is left as it is"
    assert checked.about_repeated(0) == ()
