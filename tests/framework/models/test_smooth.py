"""SmoothGrad: the plain gradient without noise, and what the mean over noise is where that is known."""

from __future__ import annotations

import pytest
import torch

from framework.models import smooth_gradients


def test_without_noise_it_is_the_gradient() -> None:
    tiles = torch.arange(8.0).reshape(2, 1, 2, 2)
    maps = smooth_gradients(
        lambda x: torch.stack([(x**2).sum((1, 2, 3)), x.sum((1, 2, 3))], 1), tiles, samples=1, noise=0, seed=0
    )
    assert torch.equal(maps[:, 0], 2 * tiles)
    assert torch.equal(maps[:, 1], torch.ones_like(tiles))


def test_the_mean_over_noise_is_that_of_the_smoothed_function() -> None:
    """The gradient of x^3 is 3 x^2; under noise of sd s its mean is 3 (x^2 + s^2). Here s is half of the range, 1."""
    tiles = torch.tensor([0.0, 2.0]).repeat(1, 1, 20, 10)
    maps = smooth_gradients(lambda x: (x**3).sum((1, 2, 3))[:, None], tiles, samples=400, noise=0.5, seed=1)[0, 0]
    assert maps[0, :, ::2].mean().item() == pytest.approx(3.0, abs=0.1)
    assert maps[0, :, 1::2].mean().item() == pytest.approx(15.0, abs=0.2)


def test_equal_seeds_give_equal_maps() -> None:
    tiles = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    made = [
        smooth_gradients(lambda x: (x**2).sum((1, 2, 3))[:, None], tiles, samples=2, noise=0.1, seed=seed)
        for seed in (3, 3, 4)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
