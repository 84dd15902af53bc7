from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.data.plan.interval_search import IntervalSearch

lengths = st.lists(st.one_of(st.integers(0, 5), st.integers(1, 10**6)), min_size=1, max_size=60)


def test_places_of_three_intervals() -> None:
    found = IntervalSearch(np.asarray([0, 3, 4, 9])).at(np.arange(9))
    assert found.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2]


@given(lengths=lengths)
def test_both_ends_and_the_middle_of_every_interval_lead_to_it(lengths: list[int]) -> None:
    begin = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    search = IntervalSearch(begin)
    filled = np.flatnonzero(lengths)
    first, end = begin[filled], begin[filled + 1]
    for place in (first, end - 1, (first + end) // 2):
        assert search.at(place).tolist() == filled.tolist()


@pytest.mark.parametrize("large", [1, 10**9])
def test_its_table_has_no_more_entries_than_there_are_intervals(large: int) -> None:
    lengths = np.ones(1000, dtype=np.int64)
    lengths[500] = large
    search = IntervalSearch(np.concatenate([[0], np.cumsum(lengths)]))
    assert len(search._first) <= 1002
    assert search.at(np.asarray([0, 499, 500, 499 + large, 500 + large])).tolist() == [0, 499, 500, 500, 501]


def test_no_interval_at_all() -> None:
    assert IntervalSearch(np.zeros(1, np.int64)).at(np.zeros(0, np.int64)).tolist() == []
