"""Sizes of discs that are drawn, alone, touching, among specks, and of none."""

from __future__ import annotations

import numpy as np
import pytest

from framework.look.sizes import find_objects, joined, typical_diameter


def discs(diameter: int, spacing: int, size: int = 256, noise: float = 5.0) -> np.ndarray:
    """Discs of 1000 above a background of 100 on a grid."""
    rows, columns = np.mgrid[:size, :size]
    image = np.random.default_rng(0).normal(100, noise, (size, size))
    for y in range(spacing // 2 + 1, size - diameter // 2, spacing):
        for x in range(spacing // 2 + 1, size - diameter // 2, spacing):
            image[(rows - y) ** 2 + (columns - x) ** 2 <= (diameter / 2) ** 2] += 1000
    return np.clip(image, 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("diameter", [7, 13, 24, 40])
def test_discs_have_their_diameter(diameter: int) -> None:
    found = typical_diameter(find_objects(discs(diameter, 2 * diameter)))
    assert found == pytest.approx(diameter, rel=0.2)


def test_discs_that_touch_count_each() -> None:
    objects = find_objects(discs(20, 21))
    assert typical_diameter(objects) == pytest.approx(20, rel=0.25)


def test_specks_do_not_count_as_much_as_nuclei() -> None:
    image = discs(24, 48)
    places = np.random.default_rng(1).integers(4, 252, (200, 2))
    for y, x in places:
        image[y : y + 3, x : x + 3] += 600
    assert typical_diameter(find_objects(image)) == pytest.approx(24, rel=0.25)


def test_centres_lie_on_discs() -> None:
    objects = find_objects(discs(16, 64))
    kept = objects.diameter_px > 12
    expected = {(y, x) for y in range(33, 248, 64) for x in range(33, 248, 64)}
    found = {(round(float(y)), round(float(x))) for y, x in zip(objects.y_px[kept], objects.x_px[kept], strict=True)}
    assert all(any(abs(y - a) <= 1 and abs(x - b) <= 1 for a, b in found) for y, x in expected)


@pytest.mark.parametrize("image", [np.full((64, 64), 7, np.uint16), np.zeros((8, 8), np.float32)])
def test_nothing_is_found_where_nothing_is(image: np.ndarray) -> None:
    objects = find_objects(image)
    assert len(objects) == 0
    assert typical_diameter(joined([objects, objects])) is None


def test_large_images_are_looked_at_in_their_middle() -> None:
    image = np.full((1400, 1200), 100, np.uint16)
    image[700:720, 600:620] = 4000  # a square of 20 px about (709.5, 609.5)
    objects = find_objects(image)
    best = int(np.argmax(objects.strength))
    assert abs(objects.y_px[best] - 709.5) < 2
    assert abs(objects.x_px[best] - 609.5) < 2
