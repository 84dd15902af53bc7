"""Ranges and gates by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from framework.data.format.markers import Gates, MarkerRange
from framework.errors import InputError


def test_a_range_maps_its_own_cells_onto_0_to_1() -> None:
    fitted = MarkerRange.fit("CD3", [9.0, 0.0, 99.0, np.nan], "log10p1")
    assert (fitted.low, fitted.high) == (0.0, 2.0)
    assert fitted.apply([9.0, 99.0, 0.0, 999.0]).tolist() == [0.5, 1.0, 0.0, 1.5]


def test_minus_infinity_counts_as_zero_and_nan_becomes_zero() -> None:
    fitted = MarkerRange.fit("CD3", [-1.0, 9.0, 99.0], "log10p1")
    assert fitted.low == 0.0
    assert fitted.apply([-1.0, np.nan]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [3.0, 3.0], [1.0, np.inf]])
def test_a_marker_that_tells_nothing_is_refused_by_name(values: list[float]) -> None:
    with pytest.raises(InputError, match="marker 'CD8'"):
        MarkerRange.fit("CD8", values, "none")


def gates(**populations: dict[str, dict[str, float]]) -> Gates:
    return Gates.from_plain({"transform": "none", "populations": populations})


def test_rectangles_name_populations_and_edges_belong_to_them() -> None:
    chosen = gates(
        helper={"CD3": {"low": 3.0}, "CD8": {"high": 1.0}}, cytotoxic={"CD3": {"low": 3.0}, "CD8": {"low": 2.0}}
    )
    found = chosen.assign({"CD3": [3.0, 5.0, 1.0, np.nan], "CD8": [1.0, 2.0, 2.0, 0.0]}, "cells")
    assert list(found) == ["helper", "cytotoxic", "other", "other"]
    assert list(found.categories) == ["helper", "cytotoxic", "other"]


def test_the_published_gates_are_on_log10_of_one_more() -> None:
    chosen = Gates.from_plain({"populations": {"T": {"CD3": {"low": 2.0, "high": 3.0}}}})
    assert list(chosen.assign({"CD3": [98.0, 99.0, 999.0, 1000.0]}, "cells")) == ["other", "T", "T", "other"]


def test_a_cell_in_two_gates_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 cells lie in the gates of 'a' and 'b'"):
        gates(a={"CD3": {"low": 1.0}}, b={"CD3": {"low": 2.0}}).assign({"CD3": [1.5, 2.5]}, "cells")


def test_a_missing_marker_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no marker 'CD3' to gate by; did you mean 'CD38'"):
        gates(a={"CD3": {"low": 1.0}}).assign({"CD38": [1.0]}, "bone marrow")


@pytest.mark.parametrize("sides", [{}, {"CD3": {"low": 2.0, "high": 1.0}}])
def test_gates_that_hold_nothing_are_refused(sides: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ValidationError):
        gates(a=sides)
