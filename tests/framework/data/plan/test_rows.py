from __future__ import annotations

import numpy as np
import pytest

from framework.data.plan import StepRows, digest_rows


def rows(bags: list[int], tiles: list[list[int]], weights: list[float], step: int = 4) -> StepRows:
    return StepRows(
        step=step,
        epoch=1,
        bags=np.asarray(bags, np.int64),
        tiles=np.asarray(tiles, np.int64),
        weights=np.asarray(weights, np.float32),
    )


FIVE = rows([1, 2, 3, 4, 5], [[10], [20], [30], [40], [50]], [1, 1, 1, 1, 0])


def test_ranks_take_consecutive_rows_and_pad_with_the_last() -> None:
    parts = [FIVE.for_rank(rank, 4) for rank in range(4)]
    assert [part.bags.tolist() for part in parts] == [[1, 2], [3, 4], [5, 5], [5, 5]]
    assert [part.weights.tolist() for part in parts] == [[1, 1], [1, 1], [0, 0], [0, 0]]
    assert parts[1].tiles.tolist() == [[30], [40]]
    assert {(part.step, part.epoch) for part in parts} == {(4, 1)}


def test_counted_is_known_where_the_rows_that_count_come_first() -> None:
    assert FIVE.counted == 4
    assert [FIVE.for_rank(rank, 3).counted for rank in range(3)] == [2, 2, 0]
    assert rows([1, 2], [[10], [20]], [1, 1]).padded(5).counted == 2
    assert rows([1, 2, 3], [[10], [20], [30]], [1, 0, 1]).counted is None


def test_padding_cycles_through_the_rows() -> None:
    padded = rows([1, 2], [[10], [20]], [1, 1]).padded(5)
    assert padded.bags.tolist() == [1, 2, 1, 2, 1]
    assert padded.weights.tolist() == [1, 1, 0, 0, 0]


def test_a_rank_outside_the_world_is_refused() -> None:
    for rank in (-1, 2):
        with pytest.raises(ValueError, match="of 2 ranks"):
            FIVE.for_rank(rank, 2)


def test_the_digest_sees_every_change_but_the_order_of_rows() -> None:
    base = rows([1, 2], [[10, 11], [20, 21]], [1, 1])
    turned = rows([2, 1], [[20, 21], [10, 11]], [1, 1])
    assert digest_rows(base) == digest_rows(turned)
    changed = [
        rows([1, 2], [[11, 10], [20, 21]], [1, 1]),
        rows([1, 3], [[10, 11], [20, 21]], [1, 1]),
        rows([1, 2], [[10, 11], [20, 22]], [1, 1]),
        rows([1, 2], [[10, 11], [20, 21]], [1, 0]),
        rows([1, 2], [[10, 11], [20, 21]], [1, 1], step=5),
        rows([1, 2, 2], [[10, 11], [20, 21], [20, 21]], [1, 1, 1]),
    ]
    assert len({digest_rows(base), *map(digest_rows, changed)}) == len(changed) + 1
    assert digest_rows(rows([1], [[10]], [0])) == 0
