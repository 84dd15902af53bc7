"""Names: the way of writing by which those of two files would match, and safe names of files."""

from __future__ import annotations

import pytest

from framework.files.names import left_over, near_names, one_off, safe_names, why_unmatched


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (["AAAC-1", "CCCA-1"], ["AAAC", "CCCA"], "without a number at the end, as '-1' 2 would match"),
        (["CTRL_AAAC", "CTRL_CCCA"], ["AAAC", "GGGG"], "without what stands before the last '_' 1 would match"),
        (["0012", "0107"], ["12", "107"], "without zeros before numbers 2 would match"),
        (["well_003"], ["well_3"], "without zeros before numbers 1 would match"),
        (["1.0", "2.0"], ["1", "2"], "without '.0' after whole numbers 2 would match"),
        (["X1", "X2"], ["1", "2"], "without the 'X' that R puts before numbers 2 would match"),
        (["aAc"], ["AAC"], "in capitals and small letters alike 1 would match"),
        (["AAAC-1"], ["AAAC.1"], "with '-' and '.' alike, as R changes one into the other 1 would match"),
        (["S1:ACGTACGTACGTAC-1x"], ["ACGTACGTACGTAC-1_2"], "by their DNA barcode alone 1 would match"),
        (["a/b.tif"], ["b.tif"], "without file folders 1 would match"),
    ],
)
def test_the_way_of_writing_is_found(left: list[str], right: list[str], words: str) -> None:
    assert why_unmatched(left, right) == f"; {words}: write the names alike in both"
    assert words.split(" would")[0].rsplit(" ", 1)[1] in why_unmatched(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["A", "B"], ["C", "D"]),
        (["AAAC-1", "AAAC-2"], ["AAAC"]),  # two lanes: without the number it is not known whose the name is
        (["0.5"], ["5"]),
    ],
)
def test_no_way_is_made_up(left: list[str], right: list[str]) -> None:
    assert why_unmatched(left, right) == ""


def test_what_is_left_over_is_counted() -> None:
    assert left_over(3, "rows have no cell", "x 7") == "; 3 rows have no cell, as x 7"
    assert left_over(0, "rows have no cell", "") == ""


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["DMSO", "x", "dmso"], "'DMSO' and 'dmso'"),
        (["a b", "a\u00a0b"], "'a b' and 'a\\xa0b'"),
        (["\u00e9", "e\u0301"], "'\\xe9' and 'e\\u0301'"),
        (["1 \u00b5M", "1 \u03bcM"], "'1 \\xb5M' and '1 \\u03bcM'"),
        (["a\u200b", "a"], "'a\\u200b' and 'a'"),
    ],
)
def test_names_that_nobody_can_tell_apart_are_shown_so_that_one_can(names: list[str], shown: str) -> None:
    (note,) = near_names(names, "t.csv")
    assert note.startswith(f"t.csv: {shown} differ")
    assert near_names(["0042", "42", "4.2", "A1", "A01"], "t.csv") == ()


def test_invisible_characters_are_a_way_to_match() -> None:
    assert "invisible characters" in why_unmatched(["caf\u00e9", "b"], ["cafe\u0301", "\ufeffb"])


def test_safe_names_stay_distinct() -> None:
    assert safe_names(["a.b", "a b", "A_B", "c"]) == {"a.b": "a_b", "a b": "a_b-2", "A_B": "A_B-3", "c": "c"}


def test_numbers_that_count_from_0_and_from_1_are_one_off() -> None:
    numbers = [str(number) for number in range(13)]
    told = "numbers seem to be one off (0 to 11 and 1 to 12): 11 match, 12 would if the latter were 1 less"
    assert one_off(numbers[:12], numbers[1:]) == told
    assert "if the latter were 1 more" in one_off(numbers[1:], numbers[:12])
    named = [f"cell_{number}" for number in numbers]
    assert one_off(named[:12], named[1:]) == told
    for left, right in (
        (numbers, numbers),
        (numbers, numbers[1:]),
        (numbers[:9], numbers[3:]),
        (named[:12], numbers[1:]),
        ([f"BC{number}-1" for number in numbers[:12]], [f"BC{number}-1" for number in numbers[1:]]),
        (["a", "1"], ["1", "2"]),
        ([], numbers),
    ):
        assert one_off(left, right) == ""


def test_a_name_without_a_number_hides_no_shift() -> None:
    numbers = [str(number) for number in range(1, 5)]
    assert "3 match, 4 would if the latter were 1 less" in one_off(["0", "1", "2", "3"], [*numbers, "Total"])
    assert one_off(["a", "b", "1"], ["0", "1", "c"]) == ""
