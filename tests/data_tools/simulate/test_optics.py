from __future__ import annotations

import numpy as np
import pytest

from data_tools.simulate.optics import CAMERA_OFFSET, PlateOptics, illumination_from, photograph
from data_tools.simulate.plate_config import PlateConfig


def test_polynomial_by_hand() -> None:
    # size 2: x and y are -0.25 and 0.25; 1 + 2x + 4y + 8x^2.
    field = illumination_from(((1.0,), (2.0, 4.0), (8.0, 0.0, 0.0)), 2)
    np.testing.assert_allclose(field, [[0.0, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_illumination_has_mean_one_and_the_asked_depth(strength: float) -> None:
    field = PlateOptics.draw(PlateConfig(illumination_strength=strength), 0).illumination
    assert field.shape == (3, 540, 540)
    np.testing.assert_allclose(field.mean(axis=(1, 2)), 1, atol=1e-4)
    np.testing.assert_allclose(field.min(axis=(1, 2)) / field.max(axis=(1, 2)), 1 - strength, atol=0.01)


def test_plates_and_channels_differ_in_staining() -> None:
    config = PlateConfig(n_plates=2)
    first, second = (PlateOptics.draw(config, plate) for plate in range(2))
    assert np.abs(np.log(first.gain / second.gain)).max() > 0.05
    assert not np.array_equal(first.illumination, second.illumination)
    calm = PlateOptics.draw(PlateConfig(batch_strength=0), 0)
    np.testing.assert_array_equal(calm.gain, 1)


def test_noise_is_shot_and_read_noise() -> None:
    optics = PlateOptics.draw(PlateConfig(illumination_strength=0, batch_strength=0, hot_pixels=0), 0)
    light = np.full((3, 540, 540), 2000, dtype=np.float32)
    image = photograph(light, optics, False, 0.0, np.random.default_rng(0))[0].astype(float)
    # Hoechst: 2000 + background 110 photons, offset 100; variance 1.4 counts per electron, read noise 6.
    assert image.mean() == pytest.approx(2110 + CAMERA_OFFSET, abs=1)
    assert image.var() == pytest.approx(1.4 * 2110 + 36, rel=0.02)


def test_defocus_blurs() -> None:
    optics = PlateOptics.draw(PlateConfig(hot_pixels=0), 0)
    spots = np.zeros((3, 540, 540), dtype=np.float32)
    spots[:, 20::40, 20::40] = 30_000
    sharp, blurred = (
        photograph(spots.copy(), optics, out_of_focus, 0.0, np.random.default_rng(0)) for out_of_focus in (False, True)
    )
    assert sharp.max() > 10 * blurred.max()


def test_only_hot_pixels_saturate_and_they_stay_in_place() -> None:
    optics = PlateOptics.draw(PlateConfig(hot_pixels=30), 0)
    dark = [
        photograph(np.zeros((3, 540, 540), np.float32), optics, False, 0.0, np.random.default_rng(s)) for s in (0, 1)
    ]
    for channel in range(3):
        places = {tuple(yx) for yx in optics.hot_yx[channel].tolist()}
        for image in dark:
            fired = {tuple(yx) for yx in np.argwhere(image[channel] > 10_000).tolist()}
            assert fired <= places
            assert 12 <= len(fired) < 30
    bright = photograph(np.full((3, 540, 540), 1e6, np.float32), optics, False, 0.0, np.random.default_rng(0))
    assert {tuple(yx) for yx in np.argwhere(bright[0] > 50_000).tolist()} <= {
        tuple(yx) for yx in optics.hot_yx[0].tolist()
    }


def test_debris_lights_all_channels() -> None:
    optics = PlateOptics.draw(PlateConfig(hot_pixels=0, illumination_strength=0), 0)
    images = photograph(np.zeros((3, 540, 540), np.float32), optics, False, 8.0, np.random.default_rng(0))
    specks = (images > 800).all(axis=0).sum()
    assert 50 < specks < 540 * 540 / 20
