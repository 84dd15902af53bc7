from __future__ import annotations

import numpy as np
import pytest

from data_tools.simulate.biology import draw_traits
from data_tools.simulate.cells import HOECHST, MITOTRACKER, PHALLOIDIN, Textures, draw_cells, place_cells
from data_tools.simulate.plate_config import PlateConfig


@pytest.fixture(scope="module")
def textures() -> Textures:
    return Textures.draw(PlateConfig())


def test_nuclei_never_overlap_and_stay_inside() -> None:
    rng = np.random.default_rng(0)
    traits = draw_traits(np.zeros(6), 60, 24, rng)
    placed = place_cells(traits, 400, 0.3, rng)
    radius = traits.nucleus_radius_px[placed.kept]
    distance = np.hypot(*(np.subtract.outer(axis, axis) for axis in (placed.y_px, placed.x_px)))
    gap = distance - radius[:, None] - radius[None]
    np.fill_diagonal(gap, np.inf)
    assert gap.min() >= -0.5 - 1e-9
    assert ((placed.y_px >= 0) & (placed.y_px <= 399) & (placed.x_px >= 0) & (placed.x_px <= 399)).all()
    np.testing.assert_array_equal(placed.touching, (gap < 1.5).any(axis=1))


def test_share_of_touching_cells_follows_the_config() -> None:
    shares = []
    for touching in (0.0, 0.5):
        rng = np.random.default_rng(3)
        traits = draw_traits(np.zeros(6), 40, 24, rng)
        shares.append(place_cells(traits, 540, touching, rng).touching.mean())
    assert shares[0] < 0.1
    assert shares[1] > 0.4


def test_a_full_field_leaves_cells_out_instead_of_overlapping_them() -> None:
    rng = np.random.default_rng(0)
    traits = draw_traits(np.zeros(6), 80, 24, rng)
    placed = place_cells(traits, 120, 0.0, rng)
    assert 5 < len(placed.kept) < 80


def test_no_cells_no_light(textures: Textures) -> None:
    rng = np.random.default_rng(0)
    traits = draw_traits(np.zeros(6), 0, 24, rng)
    placed = place_cells(traits, 64, 0.5, rng)
    assert not draw_cells(traits, placed, textures, 64, rng).any()


def test_one_cell_has_its_nucleus_where_the_truth_says(textures: Textures) -> None:
    rng = np.random.default_rng(5)
    traits = draw_traits(np.zeros(6), 1, 24, rng)
    placed = place_cells(traits, 200, 0.0, rng)
    light = draw_cells(traits, placed, textures, 200, rng)
    nucleus = light[HOECHST] > 0.3 * traits.dna_counts[0]
    y, x = np.nonzero(nucleus)
    assert abs(y.mean() - placed.y_px[0]) < 1
    assert abs(x.mean() - placed.x_px[0]) < 1
    assert nucleus.sum() == pytest.approx(np.pi * traits.nucleus_radius_px[0] ** 2, rel=0.12)


def test_mitochondria_surround_the_nucleus_and_actin_lines_the_rim(textures: Textures) -> None:
    rng = np.random.default_rng(7)
    traits = draw_traits(np.zeros(6), 1, 24, rng)
    placed = place_cells(traits, 300, 0.0, rng)
    light = draw_cells(traits, placed, textures, 300, rng)
    y, x = np.mgrid[:300, :300]
    distance = np.hypot(y - placed.y_px[0], x - placed.x_px[0])
    radius = traits.nucleus_radius_px[0]
    inner, ring = distance < 0.6 * radius, (distance > 1.2 * radius) & (distance < 1.6 * radius)
    assert light[MITOTRACKER][ring].mean() > 2 * light[MITOTRACKER][inner].mean()
    body = light[PHALLOIDIN] > 0
    assert traits.body_radius_px[0] ** 2 * np.pi == pytest.approx((light[MITOTRACKER] > 30).sum(), rel=0.25)
    assert body.sum() > (light[MITOTRACKER] > 30).sum()
