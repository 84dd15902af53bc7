"""Counts by label, measurements and places of cells whose columns are known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from framework.look.cropped import label_counts, measured, names_of_bags, some_places


def test_labels_are_counted_the_most_frequent_first() -> None:
    columns = {"Metadata_Phase": pd.Series(["S", "G1", "G1", None, "", "G1"])}
    assert label_counts(columns) == {"Metadata_Phase": {"G1": 3, "": 2, "S": 1}}
    assert list(label_counts(columns)["Metadata_Phase"]) == ["G1", "", "S"]


def test_rows_may_stand_for_several_cells() -> None:
    assert label_counts({"a": pd.Series(["x", "y", "x", "z"])}, np.array([5, 7, 4, 0])) == {"a": {"x": 9, "y": 7}}


def test_blank_columns_and_names_of_cells_count_nothing() -> None:
    columns = {
        "blank": pd.Series([""] * 8),
        "name": pd.Series([str(n) for n in range(8)]),
        "two": pd.Series(list("ab")),
    }
    assert label_counts(columns) == {"two": {"a": 1, "b": 1}}


def test_what_is_known_of_a_measurement() -> None:
    found = measured(np.array([np.nan, *range(101), np.inf], np.float32))
    assert (found.n, found.low, found.middle, found.high) == (101, 1.0, 50.0, 99.0)
    assert measured(np.full(3, np.nan)).n == 0


def test_places_are_evenly_taken_and_known() -> None:
    y = np.arange(10_000.0)
    y[::2] = np.nan
    found = some_places(y, 2 * y)
    assert found.shape == (2500, 2)
    assert found[:2].tolist() == [[1.0, 2.0], [5.0, 10.0]]
    assert len(some_places(np.array([np.nan]), np.array([1.0]))) == 0


def test_bags_are_called_by_their_source_where_there_are_several() -> None:
    assert names_of_bags(["A", "A"], ["1", "2"]) == ["1", "2"]
    assert names_of_bags(["A", "B"], ["1", "1"]) == ["A/1", "B/1"]
