"""How numbers are written for people."""

from __future__ import annotations

import math

from framework.format import byte_size, measure


def test_bytes_have_the_largest_unit_that_leaves_one_or_more() -> None:
    sizes = [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (3_686_400, "3.69 MB"), (12_345_678_900, "12.3 GB")]
    assert [byte_size(n) for n, _ in sizes] == [text for _, text in sizes]
    assert byte_size(999_900) == "1 MB", "never 1e+03 kB"


def test_a_large_measured_value_is_whole_and_a_small_one_has_four_digits() -> None:
    texts = [measure(value) for value in (16770.4, 9348.2, 0.123456, -63560.0, math.nan, None)]
    assert texts == ["16\u202f770", "9348", "0.1235", "-63\u202f560", "–", "–"]
