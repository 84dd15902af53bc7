"""Which row of a table belongs to which cell."""

from __future__ import annotations

import pandas as pd
import pytest

from data_tools.pipeline.cells.keys import match_keys
from framework.errors import InputError

CELL = "Metadata_Cell"


def text(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {f"Metadata_{name}": pd.Series(values, dtype="string[pyarrow]") for name, values in columns.items()}
    )


def match(cells: pd.DataFrame, keys: pd.DataFrame, shift: int | None = None) -> tuple[list[int], tuple[str, ...]]:
    names = {name: name.removeprefix("Metadata_").lower() for name in keys}
    found = match_keys(cells, keys, names, shift, "t.csv", "S")
    return found.rows.tolist(), found.notes


def test_both_sides_are_counted_with_an_example() -> None:
    rows, notes = match(text(Cell=["a", "b", "c"]), text(Cell=["c", "x", "a", "y"]))
    assert rows == [2, -1, 0]
    assert notes == (
        "t.csv: 2 of 3 cells have one of its 4 rows; 1 cells have none, as Metadata_Cell b; 2 rows have no cell, as "
        "Metadata_Cell x",
    )


def test_object_numbers_are_whole_numbers_and_other_labels_are_text() -> None:
    rows, notes = match(text(Cell=["3", "12"]), text(Cell=["00012", "00003"]))
    assert rows == [1, 0]
    assert notes[0] == "t.csv: 'cell' is compared as a whole number: 00012 is 12"
    assert match(text(Cell=["3", "12"]), text(Cell=["12.0", "3.0"]))[0] == [1, 0]
    rows, _ = match(text(Sample=["01", "1"]), text(Sample=["1", "01"]))
    assert rows == [1, 0]
    with pytest.raises(InputError, match="without zeros before numbers 2 would match"):
        match(text(Sample=["1", "2"]), text(Sample=["01", "02"]))


def test_numbers_that_are_told_apart_by_their_zeros_stay_text() -> None:
    assert match(text(Cell=["3", "03"]), text(Cell=["03", "3"]))[0] == [1, 0]


def test_no_match_names_both_sides() -> None:
    with pytest.raises(InputError) as caught:
        match(text(Cell=["AAAC-1", "CCCA-1"]), text(Cell=["AAAC", "CCCA"]))
    assert str(caught.value) == (
        "t.csv: none of its 2 rows belongs to any of the 2 cells of 'S': its first row is cell AAAC, the first cell "
        "Metadata_Cell AAAC-1; without a number at the end, as '-1' 2 would match: write the names alike in both; "
        "correct 'by'"
    )


def test_two_rows_for_a_cell_are_refused() -> None:
    with pytest.raises(InputError, match="two rows for field 2, cell 1; remove one"):
        match(text(Field=["1"], Cell=["1"]), text(Field=["2", "2"], Cell=["1", "1"]))


def numbers(first: int, last: int) -> pd.DataFrame:
    return text(Cell=[str(number) for number in range(first, last + 1)])


def test_a_table_that_is_one_off_is_refused() -> None:
    """288 of 289 cells find a row, and every one of them that of its neighbour."""
    with pytest.raises(InputError) as caught:
        match(numbers(0, 288), numbers(1, 289))
    assert (
        "'cell' seems to be shifted by one: 288 of 289 cells of 'S' have a row, 289 would have one if it were 1 less"
        in str(caught.value)
    )
    assert "'shift: -1'" in str(caught.value)
    with pytest.raises(InputError, match="1 more"):
        match(numbers(1, 289), numbers(0, 288))
    with pytest.raises(InputError, match="shifted by one: 6 of 8"):
        match(text(Well=list("aaaabbbb"), Cell=list("01230123")), text(Well=list("aaaabbbb"), Cell=list("12341234")))


def test_shift_says_which_numbers_are_right() -> None:
    assert match(numbers(0, 3), numbers(1, 4), shift=-1)[0] == [0, 1, 2, 3]
    assert match(numbers(0, 3), numbers(1, 4), shift=0)[0] == [-1, 0, 1, 2]
    with pytest.raises(InputError, match="remove 'shift'"):
        match(text(Cell=["a"]), text(Cell=["a"]), shift=1)


def test_a_table_of_some_cells_alone_is_no_fault_but_said_where_counting_begins_apart() -> None:
    assert match(numbers(0, 9), numbers(0, 7))[0] == [*range(8), -1, -1]
    rows, notes = match(numbers(0, 9), numbers(1, 8))
    assert rows == [-1, *range(8), -1]
    assert "one side counts from 0, the other from 1" in notes[0]


def test_a_row_of_totals_hides_no_shift() -> None:
    """As text beside ``Total``, numbers from 1 met those from 0, and each cell had the row of its neighbour."""
    cells, keys = text(Cell=["0", "1", "2", "3"]), text(Cell=["1", "2", "3", "4", "Total"])
    with pytest.raises(InputError, match="'cell' seems to be shifted by one: 3 of 4 cells of 'S' have a row, 4 would"):
        match(cells, keys)
    rows, notes = match(cells, text(Cell=["Total", "1", "2", "3", "4"]), shift=-1)
    assert rows == [1, 2, 3, 4]
    assert notes == (
        "t.csv: 1 rows have no number as 'cell', as 'Total', and are left out",
        "t.csv: 4 of 4 cells have one of its 4 rows",
    )
