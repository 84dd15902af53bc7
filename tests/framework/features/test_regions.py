"""Interpretable features of crops whose object is drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from framework.features.classic import HARALICK, grey_levels, haralick
from framework.features.regions import LEVELS, region_names, regions


def measured(outline: np.ndarray, channels: np.ndarray, scales: tuple[int, ...] = ()) -> dict[str, float]:
    names = region_names("dna", [f"c{number}" for number in range(channels.shape[1])], scales)
    found = regions(outline[None], channels, scales_px=scales)
    assert found.shape == (1, len(names))
    return dict(zip(names, found[0], strict=True))


def rectangle(rows: slice, columns: slice, side: int = 20) -> np.ndarray:
    plane = np.full((side, side), 10.0)
    plane[rows, columns] = 50.0
    return plane


def test_shape_of_a_rectangle_in_the_middle() -> None:
    plane = rectangle(slice(6, 14), slice(8, 12))
    plane[0:2, 0:9] = 50.0  # A neighbour at the edge, larger than nothing and farther from the middle.
    found = measured(plane, plane[None, None])
    assert found["dna_area"] == 8 * 4
    assert found["dna_extent"] == found["dna_solidity"] == 1
    # Second moment of n pixel centres in a row: (n^2 - 1) / 12; axes are four times their roots.
    assert found["dna_axis_major_length"] == pytest.approx(4 * np.sqrt(63 / 12))
    assert found["dna_axis_minor_length"] == pytest.approx(4 * np.sqrt(15 / 12))
    assert found["dna_eccentricity"] == pytest.approx(np.sqrt(1 - 15 / 63))
    # The line through the middles of border pixels.
    assert found["dna_perimeter"] == 2 * (7 + 3)
    assert found["dna_form_factor"] == pytest.approx(4 * np.pi * 32 / 400)
    assert found["dna_euler_number"] == 1
    assert found["dna_objects"] == 2
    assert found["dna_foreground_share"] == pytest.approx((32 + 18) / 400)


def test_a_hole_is_counted() -> None:
    plane = rectangle(slice(5, 15), slice(5, 15))
    plane[9:11, 9:11] = 10.0
    found = measured(plane, plane[None, None])
    assert (found["dna_area"], found["dna_euler_number"]) == (96, 0)


def test_intensity_in_and_around_the_object() -> None:
    plane = rectangle(slice(6, 14), slice(8, 12))
    other = np.full((20, 20), 3.0)
    other[6:14, 8:12] = np.arange(4) * 2.0
    other[0, 0] = 371.0
    found = measured(plane, np.stack([plane, other])[None])
    assert found["c0_mean"] == found["c0_min"] == found["c0_max"] == 50
    assert found["c0_sd"] == found["c0_displacement_px"] == found["c0_outside_sd"] == 0
    assert found["c0_outside_mean"] == 10
    assert (found["c1_mean"], found["c1_min"], found["c1_max"], found["c1_sum"]) == (3, 0, 6, 96)
    assert found["c1_sd"] == pytest.approx(np.sqrt(5))
    # Centre of mass (0 + 1 * 2 + 2 * 4 + 3 * 6) / 12 = 7 / 3 of the columns 0 to 3, whose middle is 1.5.
    assert found["c1_displacement_px"] == pytest.approx(7 / 3 - 1.5)
    assert found["c1_outside_mean"] == pytest.approx(3 + 368 / 368)


def test_texture_is_that_of_classic_features_at_fewer_levels() -> None:
    random = np.random.default_rng(0)
    plane, other = rectangle(slice(6, 14), slice(8, 12)), random.random((20, 20))
    found = measured(plane, other[None, None], (1, 3))
    expected = haralick(grey_levels(other[None], LEVELS), 3, LEVELS)[0]
    np.testing.assert_allclose([found[f"c0_{name}_3px"] for name in HARALICK], expected)


def test_a_constant_crop_has_no_object_and_finite_features() -> None:
    flat = np.full((18, 18), 7.0)
    found = measured(flat, flat[None, None], (1,))
    assert np.isfinite(list(found.values())).all()
    assert found["dna_area"] == found["dna_objects"] == found["c0_mean"] == 0
    assert found["c0_outside_mean"] == 7


def test_every_crop_is_measured_alone() -> None:
    random = np.random.default_rng(1)
    tiles = random.integers(0, 500, (5, 2, 24, 24)).astype(float)
    together = regions(tiles[:, 0], tiles, scales_px=(2,))
    alone = [regions(tile[None, 0], tile[None], scales_px=(2,))[0] for tile in tiles]
    np.testing.assert_array_equal(together, alone)
