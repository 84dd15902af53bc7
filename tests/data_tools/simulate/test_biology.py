from __future__ import annotations

import numpy as np

from data_tools.simulate.biology import LATENTS, control_type, draw_cell_count, draw_conditions, draw_traits
from data_tools.simulate.plate_config import PlateConfig


def test_controls_come_first_and_are_named() -> None:
    conditions = draw_conditions(PlateConfig(perturbations=5))
    assert conditions.perturbations == ("NT", "POS", "P01", "P02", "P03")
    kinds = [control_type(name) for name in conditions.perturbations]
    assert kinds == ["negcon", "poscon", "treatment", "treatment", "treatment"]


def test_perturbation_effects_have_three_dimensions() -> None:
    # Small effects stay in the linear part of the limit, where a low rank is not bent away.
    conditions = draw_conditions(PlateConfig(effect_strength=1e-3))
    for stimulation in range(2):
        effects = conditions.latent[:, stimulation] - conditions.latent[0, stimulation]
        singular = np.linalg.svd(effects, compute_uv=False)
        assert singular[2] > 1e3 * singular[3]


def test_effects_are_about_one_standard_deviation_and_bounded() -> None:
    latent = draw_conditions(PlateConfig(rows=16, columns=24, perturbations=90)).latent
    assert latent.shape == (90, 2, len(LATENTS))
    assert 0.6 < latent[2:].std(axis=0).mean() < 1.2
    assert np.abs(latent).max() < 2.5


def test_stimulations_move_the_untreated_state() -> None:
    latent = draw_conditions(PlateConfig()).latent
    assert np.linalg.norm(latent[0, 0] - latent[0, 1]) > 0.5


def test_each_latent_drives_its_own_trait_only() -> None:
    traits = {
        "cell_size": "body_radius_px",
        "elongation": "body_aspect",
        "nucleus_size": "nucleus_radius_px",
        "mitochondria": "mito_counts",
        "actin_fibres": "fibre_counts",
    }
    neutral = draw_traits(np.zeros(6), 400, 24, np.random.default_rng(0))
    for number, latent in enumerate(LATENTS[:5]):
        state = np.zeros(6)
        state[number] = 1.0
        moved = draw_traits(state, 400, 24, np.random.default_rng(0))
        for name, trait in traits.items():
            ratio = np.median(getattr(moved, trait) / getattr(neutral, trait))
            if name == latent:
                assert ratio > 1.1
            else:
                assert abs(ratio - 1) < 1e-6


def test_density_sets_the_mean_count() -> None:
    dense = np.zeros(6)
    dense[LATENTS.index("density")] = 2.0
    rng = np.random.default_rng(1)
    mean = np.mean([draw_cell_count(dense, 60, rng) for _ in range(400)])
    # 60 * exp(0.5) = 98.9; the standard error of 400 Poisson draws is 0.5.
    assert abs(mean - 60 * np.exp(0.5)) < 2.5
