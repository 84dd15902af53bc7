"""Transforms of markers, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from framework.errors import RunError
from framework.objectives.marker_scale import MarkerScale, Transform

NAN = float("nan")


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("none", [1.0, 10.0, 100.0, NAN]),
        ("log10", [0.0, 1.0, 2.0, NAN]),
        ("log10p1", [0.30103, 1.0413927, 2.0043214, NAN]),
        ("unit_range", [0.0, 1 / 11, 1.0, NAN]),
    ],
)
def test_transforms(transform: Transform, expected: list[float]) -> None:
    values = np.array([1.0, 10.0, 100.0, NAN])
    scale = MarkerScale.fit("M", transform, values)
    got = scale.apply(values)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert scale.mean == pytest.approx(np.nanmean(expected), rel=1e-6)
    assert scale.sd == pytest.approx(np.nanstd(expected, ddof=1), rel=1e-6)
    assert (scale.low, scale.high) == (1, 100)
    assert MarkerScale.from_plain(scale.plain()) == scale


def test_the_range_is_of_training_values() -> None:
    scale = MarkerScale.fit("M", "unit_range", np.array([2.0, 4.0]))
    np.testing.assert_allclose(scale.apply(np.array([0.0, 3.0, 8.0])), [-1, 0.5, 3])


@pytest.mark.parametrize("transform", ["none", "unit_range", "log10p1"])
def test_equal_values_give_sd_one(transform: Transform) -> None:
    scale = MarkerScale.fit("M", transform, np.array([5.0, 5.0, NAN]))
    assert scale.sd == 1
    assert np.isfinite(scale.apply(np.array([5.0]))).all()


def test_one_value_is_enough() -> None:
    assert MarkerScale.fit("M", "none", np.array([5.0])).sd == 1


@pytest.mark.parametrize(
    ("transform", "values", "message"),
    [
        ("log10", [1.0, 0.0, -3.0], r"'M': log10 needs values > 0, found 2 of 3 .*smallest -3.*transform: log10p1"),
        ("log10p1", [1.0, -1.0], r"log10p1 needs values > -1, found 1 of 2"),
        ("none", [1.0, float("inf")], "has 1 infinite values"),
        ("none", [NAN, NAN], "marker 'M' is measured in no training tile"),
    ],
)
def test_values_that_cannot_be_used_are_named(transform: Transform, values: list[float], message: str) -> None:
    with pytest.raises(RunError, match=message):
        MarkerScale.fit("M", transform, np.array(values))
