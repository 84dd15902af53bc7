"""SmoothGrad for any network: the gradient of a score, averaged over noisy copies of the image.

The gradient of a network changes from pixel to pixel as noise does; its mean over copies of the image with a little
noise keeps what they agree about.

Source: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise".
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def smooth_gradients(
    score: Callable[[torch.Tensor], torch.Tensor], tiles: torch.Tensor, *, samples: int, noise: float, seed: int
) -> torch.Tensor:
    """Return the mean gradient of each score with respect to each pixel.

    Put the network into eval mode first, or the tiles of a batch see each other in its normalisation.

    Args:
        score: float (n, C, H, W) tiles -> (r, M) scores; what is differentiated is their sum over r.
        tiles: float (n, C, H, W).
        samples: noisy copies, >= 1.
        noise: standard deviation, as a share of the range (maximum - minimum) of each tile and channel; 0 and one
            sample give the plain gradient.
        seed: seed of the noise.

    Returns:
        float (n, M, C, H, W), without a graph of its own.
    """
    random = torch.Generator().manual_seed(seed)
    spread = noise * (tiles.amax(dim=(2, 3), keepdim=True) - tiles.amin(dim=(2, 3), keepdim=True))
    total: torch.Tensor | None = None
    for _ in range(samples):
        # Drawn on the CPU, so that a seed means the same noise on every device.
        drawn = torch.randn(tiles.shape, generator=random, dtype=torch.float32).to(tiles)
        maps = _gradients(score, tiles + spread * drawn)
        total = maps if total is None else total + maps
    if total is None:
        raise ValueError(f"expected samples >= 1, found {samples}")
    return total / samples


def _gradients(score: Callable[[torch.Tensor], torch.Tensor], tiles: torch.Tensor) -> torch.Tensor:
    """(n, M, C, H, W) of one copy."""
    pixels = tiles.detach().requires_grad_()
    with torch.enable_grad():
        sums = score(pixels).sum(dim=0)
        maps = [
            torch.autograd.grad(one, pixels, retain_graph=number + 1 < len(sums))[0] for number, one in enumerate(sums)
        ]
    return torch.stack(maps, dim=1)
