from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from framework.data.permutation import hash_sums, hash_u64, permute, permute_runs

GOLDEN_10 = [4, 9, 2, 7, 8, 5, 0, 6, 1, 3]
GOLDEN_BILLION = [591838900, 352520317, 960299652, 175633143, 556183089]
GOLDEN_HASH = 9812528628958509896


@given(n=st.integers(1, 5000), key=st.integers(0, 2**64 - 1))
@settings(max_examples=150, deadline=None)
def test_a_permutation_names_every_item_once(n: int, key: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(n), n, key)), np.arange(n))


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_items_do_not_depend_on_what_else_is_asked(data: st.DataObject) -> None:
    lengths = np.asarray(data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=8)))
    keys = hash_u64(5, np.arange(len(lengths)))
    places = np.asarray([data.draw(st.integers(0, n - 1)) for n in lengths])
    together = permute(places, lengths, keys)
    alone = [permute(p, int(n), int(k)) for p, n, k in zip(places, lengths, keys, strict=True)]
    assert together.tolist() == [int(x) for x in alone]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_every_order_of_few_items_is_equally_likely(n: int) -> None:
    """Chi-square over all n! orders of 24,000 keys, at a level that one seed in a million would miss."""
    orders = permute(np.arange(n)[None], n, hash_u64(1, np.arange(24_000))[:, None])
    code = orders @ (n ** np.arange(n))
    counts = np.unique(code, return_counts=True)[1]
    assert len(counts) == math.factorial(n)
    assert stats.chisquare(counts).pvalue > 1e-6


@pytest.mark.parametrize("n", [16, 17, 40])
def test_every_pair_of_first_items_is_equally_likely(n: int) -> None:
    first = permute(np.arange(2)[None], n, hash_u64(2, np.arange(60_000))[:, None])
    counts = np.bincount(first[:, 0] * n + first[:, 1], minlength=n * n).reshape(n, n)
    assert np.trace(counts) == 0
    assert stats.chisquare(counts[~np.eye(n, dtype=bool)]).pvalue > 1e-6


def test_huge_permutations_take_no_memory_and_never_collide() -> None:
    n = 10**12
    places = np.concatenate([np.arange(2000), n - 1 - np.arange(2000)])
    found = permute(places, n, 3)
    assert len(np.unique(found)) == 4000
    assert found.min() >= 0
    assert found.max() < n
    # Neighbours are scattered: the mean of 4,000 uniform draws lies within 5 standard errors of n / 2.
    assert abs(found.mean() / n - 0.5) < 5 / math.sqrt(12 * 4000)


def test_a_place_outside_is_refused() -> None:
    for place in (-1, 4):
        with pytest.raises(ValueError, match="must lie in"):
            permute(place, 4, 0)


def test_permutations_never_change() -> None:
    """Golden values: a plan recomputed years later must name the same tiles."""
    assert permute(np.arange(10), 10, 42).tolist() == GOLDEN_10
    assert permute(np.arange(5), 10**9, 42).tolist() == GOLDEN_BILLION
    assert hash_u64(1, 2, 3).item() == GOLDEN_HASH


def test_hash_tells_order_sign_and_length_apart() -> None:
    values = [hash_u64(*parts).item() for parts in [(), (0,), (0, 0), (1, 2), (2, 1), (-1,), (1,)]]
    assert len(set(values)) == len(values)
    assert hash_u64(np.arange(3)[:, None], np.arange(4)).shape == (3, 4)
    assert hash_u64(np.arange(3), 7)[2] == hash_u64(2, 7)


def test_hash_bits_are_balanced() -> None:
    bits = np.unpackbits(hash_u64(9, np.arange(20_000)).view(np.uint8)).reshape(20_000, 64)
    assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / math.sqrt(20_000)


def test_runs_of_rows_are_the_items_that_permute_gives() -> None:
    lengths = np.asarray([1, 2, 9, 17, 600])
    first, keys = np.asarray([0, 5, 8, 40, 599]), hash_u64(np.arange(5))
    places = (first[:, None] + np.arange(30)) % lengths[:, None]
    assert (permute_runs(first, 30, lengths, keys) == permute(places, lengths[:, None], keys[:, None])).all()


def test_hash_sums_are_sums_of_hashes() -> None:
    values = np.asarray([[0, 3, -1], [2**40, 7, 7]])
    expected = [sum(int(hash_u64(int(value), column)) for column, value in enumerate(row)) % 2**64 for row in values]
    assert hash_sums(values).tolist() == expected
