from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.data.store.copying import copy_ranges, finish_streams, stream_tile

SHARD = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)


@given(data=st.data(), past_cache=st.booleans())
@settings(deadline=None)
def test_ranges_of_any_length_and_alignment_and_nothing_beside_them(data: st.DataObject, past_cache: bool) -> None:
    lengths = data.draw(st.lists(st.sampled_from([0, 1, 63, 64, 255, 256, 257, 320, 4097, 5000]), max_size=6))
    begin = [data.draw(st.integers(0, len(SHARD) - length)) for length in lengths]
    gaps = [data.draw(st.integers(0, 70)) for _ in lengths]
    place = np.cumsum([0, *lengths])[: len(lengths)] + np.cumsum(gaps, dtype=np.int64)
    # The first byte of an array is at a multiple of 16.
    skew = data.draw(st.integers(0, 63))
    out = np.zeros(skew + sum(lengths) + sum(gaps) + 80, np.uint8)[skew:]
    expected = out.copy()
    for source, target, length in zip(begin, place, lengths, strict=True):
        expected[target : target + length] = SHARD[source : source + length]
    copy_ranges(SHARD, np.asarray(begin, np.int64), out, place, np.asarray(lengths, np.int64), past_cache=past_cache)
    assert np.array_equal(out, expected)


def test_a_batch_of_any_type_is_filled_from_memory_that_must_not_be_written() -> None:
    shard = np.frombuffer(SHARD.tobytes(), dtype=np.uint8)
    out = np.zeros((2, 3, 10, 10), np.float32)
    begin, place = np.asarray([7, 4000]), np.asarray([1200, 0])
    copy_ranges(shard, begin, out, place, np.asarray([1200, 1200]), past_cache=True)
    assert out.tobytes() == SHARD[4000:5200].tobytes() + SHARD[7:1207].tobytes()


@pytest.mark.parametrize(
    ("begin", "place", "length"), [(-1, 0, 5), (0, -1, 5), (0, 0, -1), (19_996, 0, 5), (0, 596, 5), (2**62, 0, 2**62)]
)
@pytest.mark.parametrize("past_cache", [False, True])
def test_a_range_outside_is_refused(begin: int, place: int, length: int, past_cache: bool) -> None:
    out = np.zeros(600, np.uint8)
    ranges = (np.asarray([value]) for value in (begin, place, length))
    first, target, nbytes = ranges
    with pytest.raises(IndexError, match="outside the shard or the batch"):
        copy_ranges(SHARD, first, out, target, nbytes, past_cache=past_cache)
    assert not out.any()


@pytest.mark.parametrize("size", [7, 256, 1000])
def test_a_tile_fills_its_row_and_no_other(size: int) -> None:
    out = np.zeros(3 * size, np.uint8)
    stream_tile(SHARD[:size], out, 1)
    finish_streams()
    assert out.reshape(3, size).tolist() == [[0] * size, SHARD[:size].tolist(), [0] * size]
    for row in (-1, 3):
        with pytest.raises(IndexError, match="no such row"):
            stream_tile(SHARD[:size], out, row)
