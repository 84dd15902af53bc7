"""Decimal commas are found, digits in groups of three are not read as decimals."""

from __future__ import annotations

import pytest

from framework.files.decimals import decimal_sign, grouped_digits


@pytest.mark.parametrize(
    ("cells", "separator", "sign"),
    [
        (["1,5", "2"], ";", ","),
        (["1,5", "2"], "\t", ","),
        (["1,5", "2"], ",", "."),
        (["1,234", "2,345"], ";", ","),
        (["1,234", "2,345"], "\t", "."),
        (["1,5", "2.5"], ";", "."),
        (["1,5", "two"], ";", "."),
        (["A,1", "B,2"], ";", "."),
    ],
)
def test_the_decimal_sign_is_that_of_all_cells_or_the_point(cells: list[str], separator: str, sign: str) -> None:
    assert decimal_sign([("x", cells)], separator)[0] == sign


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["12", "1.000", "345"], "1.000"),
        (["12", "1.234.567"], "1.234.567"),
        (["0", "", "NA", "-2.500"], "-2.500"),
        (["1.000", "2.000"], None),
        (["12", "1.000", "1234"], None),
        (["12", "1.000", "1.5"], None),
        (["12", "0.125"], None),
    ],
)
def test_digits_in_groups_stand_beside_short_whole_numbers(cells: list[str], found: str | None) -> None:
    assert grouped_digits(cells, ";") == found
    assert grouped_digits(cells, ",") is None
