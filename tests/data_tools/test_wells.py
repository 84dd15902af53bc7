"""Well names, worked out by hand."""

from __future__ import annotations

import pytest

from data_tools.wells import is_well, normalise_well, row_letters, row_number, well_order
from framework.errors import InputError


@pytest.mark.parametrize(
    ("written", "well"),
    [
        ("a1", "A01"),
        ("A1", "A01"),
        ("a01", "A01"),
        ("A01", "A01"),
        ("A001", "A01"),
        (" h12 ", "H12"),
        ("P24", "P24"),
        ("af48", "AF48"),
        ((1, 1), "A01"),
        ((26, 9), "Z09"),
        ((27, 1), "AA01"),
        ((32, 48), "AF48"),
    ],
)
def test_every_spelling_becomes_one(written: str | tuple[int, int], well: str) -> None:
    assert normalise_well(written) == well
    assert normalise_well(well) == well


@pytest.mark.parametrize(
    "written", ["", "A", "1", "A0", "A00", "A49", "AG01", "1A", "A-1", "A1B", "É1", (0, 1), (33, 1), (1, 0), (1, 49)]
)
def test_what_is_no_well_is_refused(written: str | tuple[int, int]) -> None:
    with pytest.raises(InputError):
        normalise_well(written)


def test_a_text_is_a_well_or_not() -> None:
    assert [text for text in ("A01", "r2c3", "", "Q", "AG1", "A49", "afterwards") if is_well(text)] == ["A01", "r2c3"]


def test_rows_and_letters_are_inverse() -> None:
    letters = [row_letters(row) for row in range(1, 33)]
    assert letters[:3] == ["A", "B", "C"]
    assert letters[25:28] == ["Z", "AA", "AB"]
    assert [row_number(text) for text in letters] == list(range(1, 33))
    with pytest.raises(InputError, match="A to AF"):
        row_number("BA")


def test_plate_order_puts_aa_after_z() -> None:
    wells = ["AA01", "B01", "A10", "A02", "Z48"]
    assert sorted(wells, key=well_order) == ["A02", "A10", "B01", "Z48", "AA01"]


@pytest.mark.parametrize(
    ("written", "well"), [("r02c03", "B03"), ("R2C3", "B03"), ("r27c048", "AA48"), ("r32 c1", "AF01"), ("c3", "C03")]
)
def test_rows_and_columns_by_number(written: str, well: str) -> None:
    assert normalise_well(written) == well


@pytest.mark.parametrize("written", ["r33c01", "r01c49", "r0c1", "r1c", "c1r1"])
def test_rows_and_columns_outside_a_plate(written: str) -> None:
    with pytest.raises(InputError):
        normalise_well(written)
