"""Guided gradients of nets small enough to work out by hand, and that any of our backbones has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from framework.models import BACKBONES, build_backbone, guided_gradients

Relu = Callable[[torch.Tensor], torch.Tensor]
RELUS: dict[str, Relu] = {
    "function": torch.relu,
    "functional": functional.relu,
    "in place": lambda x: functional.relu(x * 1.0, inplace=True),
    "method": lambda x: x.relu(),
    "module": nn.ReLU(),
}


def two_pixels(a: float, b: float) -> torch.Tensor:
    return torch.tensor([a, b], dtype=torch.float32).reshape(1, 1, 1, 2)


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_paths_that_lower_the_score_are_cut(relu: Relu) -> None:
    """score = 2 relu(a - b) - 3 relu(b): the gradient is (2, -5), but the second path only lowers it."""

    def score(x: torch.Tensor) -> torch.Tensor:
        a, b = x[:, 0, 0, 0], x[:, 0, 0, 1]
        return (2 * relu(a - b) - 3 * relu(b))[:, None]

    assert guided_gradients(score, two_pixels(3, 1)).flatten().tolist() == [2, -2]
    # relu(a - b) is off, and what is left only lowers the score.
    assert guided_gradients(score, two_pixels(1, 3)).flatten().tolist() == [0, 0]
    x = two_pixels(3, 1).requires_grad_()
    score(x).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [2, -5]


def test_a_relu6_passes_nothing_above_six() -> None:
    """score = 2 relu6(a - b) - 3 relu6(b): a - b is 2, then 8."""

    def score(x: torch.Tensor) -> torch.Tensor:
        a, b = x[:, 0, 0, 0], x[:, 0, 0, 1]
        return (2 * nn.functional.relu6(a - b) - 3 * nn.functional.relu6(b))[:, None]

    assert guided_gradients(score, two_pixels(3, 1)).flatten().tolist() == [2, -2]
    assert guided_gradients(score, two_pixels(9, 1)).flatten().tolist() == [0, 0]


def test_the_cut_is_at_every_layer_and_each_score_has_its_map() -> None:
    """h = relu(a - 2 b, a), g = relu(h1 - h2 + 5): at (4, 1) h = (2, 4) and g = 3; scores are g and -g."""
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, -2.0], [1.0, 0.0]]))
        second.weight.copy_(torch.tensor([[1.0, -1.0]]))
        second.bias.fill_(5)
    body = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU())
    maps = guided_gradients(lambda x: body(x) * torch.tensor([1.0, -1.0]), two_pixels(4, 1))
    # Through h1 comes 1, through h2 -1, which is cut; the plain gradient of a would be 1 - 1 = 0.
    assert maps.shape == (1, 2, 1, 1, 2)
    assert maps[0, 0].flatten().tolist() == [1, -2]
    assert maps[0, 1].flatten().tolist() == [0, 0]


def test_nothing_is_left_changed() -> None:
    x = two_pixels(3, 1)
    guided_gradients(lambda tiles: torch.relu(-tiles.sum(dim=(2, 3))), x)
    assert not x.requires_grad
    leaf = torch.tensor([1.0], requires_grad=True)
    (-torch.relu(leaf)).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.item() == -1


@pytest.mark.parametrize("name", BACKBONES.names())
def test_every_backbone_has_maps_that_differ_from_its_gradient(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_backbone(BACKBONES.get(name).config(name=name), 2).eval()
    tiles = torch.randn(2, 2, 32, 32)
    maps = guided_gradients(lambda x: encoder(x)[:, :1], tiles)
    assert maps.shape == (2, 1, 2, 32, 32)
    pixels = tiles.clone().requires_grad_()
    encoder(pixels)[:, 0].sum().backward()
    assert pixels.grad is not None
    assert maps.abs().max() > 0
    assert not torch.allclose(maps[:, 0], pixels.grad)
