"""LZW strips decode to what was encoded; damage is refused, and nothing is written beyond the room it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_tools.formats.plain_tiff import SLACK, decode_strip

CLEAR, END = 256, 257
GUARD, BEFORE = 0xA5, 16


def packed(codes: Iterable[tuple[int, int]]) -> bytes:
    """Bits of (code, width), the highest first, filled up with zeros."""
    text = "".join(f"{code:0{width}b}" for code, width in codes)
    return bytes(int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8))


def without_clears(pixels: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Every pixel as its own code after one clear, widths as the standard changes them (9 bits for 254 codes)."""
    yield CLEAR, 9
    for number, pixel in enumerate(pixels):
        yield pixel, min(12, (258 + number).bit_length() if number > 253 else 9)


def decoded(stored: bytes, size: int) -> bytes | None:
    """The strip between guards that must survive."""
    out = np.full(BEFORE + size + SLACK + BEFORE, GUARD, dtype=np.uint8)
    found = decode_strip(np.frombuffer(stored, dtype=np.uint8), out[:-BEFORE], BEFORE, size)
    assert (out[:BEFORE] == GUARD).all()
    assert (out[-BEFORE:] == GUARD).all()
    return out[BEFORE : BEFORE + size].tobytes() if found else None


def test_the_example_of_the_standard() -> None:
    # TIFF 6.0, section 13: 258 is 7 7, and is used before its last byte is known.
    codes = [(code, 9) for code in (CLEAR, 7, 258, 8, 8, 258, 6, 6, END)]
    assert decoded(packed(codes), 9) == bytes([7, 7, 7, 8, 8, 7, 7, 6, 6])


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), symbols=st.sampled_from([1, 2, 3, 16, 256]), size=st.integers(1, 60_000))
def test_what_a_library_encodes_comes_back(seed: int, symbols: int, size: int) -> None:
    random = np.random.default_rng(seed)
    runs = random.integers(1, random.choice([2, 20, 3000]), size=size)
    pixels = np.repeat(random.integers(0, symbols, size=size, dtype=np.uint8), runs)[:size].tobytes()
    assert decoded(imagecodecs.lzw_encode(pixels), size) == pixels


@pytest.mark.parametrize("size", [253, 254, 255, 765, 766, 767, 1789, 1790, 1791, 3838, 3839, 7000])
def test_widths_change_where_the_standard_says_and_a_full_table_is_kept(size: int) -> None:
    pixels = np.random.default_rng(size).integers(0, 256, size).tolist()
    assert decoded(packed(without_clears(pixels)), size) == bytes(pixels)


def test_a_table_that_is_never_cleared_is_for_libtiff() -> None:
    assert decoded(packed(without_clears([1] * 9000)), 9000) is None


def test_another_number_of_bytes_is_refused() -> None:
    pixels = np.random.default_rng(0).integers(0, 4, 5000, dtype=np.uint8).tobytes()
    stored = imagecodecs.lzw_encode(pixels)
    assert decoded(stored, 5001) is None
    assert decoded(stored[: len(stored) // 2], 5000) is None
    codes = packed([(CLEAR, 9), (7, 9), (258, 9)])
    assert decoded(codes, 3) == b"\7\7\7"
    assert decoded(codes, 2) is None  # the last string is longer than its strip


@pytest.mark.parametrize("stored", [b"", b"\x80", b"\x00\x01\x02\x03", packed([(65, 9), (END, 9)]), b"\xff\xff\xff"])
def test_a_strip_that_begins_without_a_clear_is_refused(stored: bytes) -> None:
    assert decoded(stored, 1) is None


@pytest.mark.parametrize("code", [END, 258, 259, 511])
def test_a_code_that_stands_for_nothing_is_refused(code: int) -> None:
    assert decoded(packed([(CLEAR, 9), (code, 9), (1, 9)]), 3) is None


def test_a_string_of_an_earlier_table_is_refused() -> None:
    codes = [CLEAR, 1, 2, 3, 258, CLEAR, 4, 259, 1]
    assert decoded(packed((code, 9) for code in codes), 8) is None


@settings(max_examples=300)
@given(seed=st.integers(0, 2**32), symbols=st.sampled_from([1, 4, 256]), at=st.floats(0, 1, exclude_max=True))
def test_damage_never_writes_beyond_the_room(seed: int, symbols: int, at: float) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, symbols, 20_000, dtype=np.uint8).tobytes()
    stored = bytearray(imagecodecs.lzw_encode(pixels))
    begin = int(at * len(stored))
    stored[begin : begin + 8] = random.bytes(min(8, len(stored) - begin))
    decoded(bytes(stored), 20_000)
    decoded(random.bytes(2000), 20_000)
    decoded(b"\x80\x00" + random.bytes(2000), 20_000)


def test_an_array_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an array of"):
        decode_strip(np.zeros(9, dtype=np.uint8), np.zeros(SLACK + 7, dtype=np.uint8), 0, 8)
