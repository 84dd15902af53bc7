"""Features of named layers: what a hook sees, pooled over space."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from framework.errors import RunError
from framework.models import ResNet18Config, SmallCnnConfig, build_backbone, build_source, layer_names, pooled_layers
from framework.models.inpainting import AlexNetSourceConfig


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return build_source(AlexNetSourceConfig(widths=(4, 6, 8, 8, 6)), 2).eval()


def by_hand(encoder: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output of each convolution after its ReLU, worked out layer by layer."""
    found = {}
    for number in range(1, 6):
        x = encoder.get_submodule(f"conv{number}.0")(x).clamp(min=0)
        found[f"conv{number}"] = x
        x = encoder.get_submodule(f"bn{number}")(x)
        if number <= 2:
            x = nn.functional.max_pool2d(x, 2)
    return found


@pytest.mark.parametrize("pool", ["max", "mean"])
@torch.no_grad()
def test_features_are_taken_after_relu_and_before_normalisation(pool: str) -> None:
    encoder, tiles = tiny(), torch.rand(3, 2, 16, 16)
    encoder.get_submodule("bn4").bias.data.fill_(-7.0)
    layers = ("conv5", "conv1", "conv4")
    found = pooled_layers(encoder, layers, tiles, pool)  # type: ignore[arg-type]
    assert tuple(found) == layers
    for name, maps in by_hand(encoder, tiles).items():
        if name in layers:
            flat = maps.flatten(2)
            torch.testing.assert_close(found[name], flat.amax(2) if pool == "max" else flat.mean(2))


@torch.no_grad()
def test_layers_of_any_backbone_have_names() -> None:
    resnet = build_backbone(ResNet18Config(width=4, dense=(6,)), 2).eval()
    found = pooled_layers(resnet, ("trunk.layer2", "trunk.bn1", "trunk", "head"), torch.rand(2, 2, 32, 32))
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "trunk.layer2": (2, 8),
        "trunk.bn1": (2, 4),
        "trunk": (2, 32),
        "head": (2, 6),
    }
    assert "trunk.layer1.0.conv1" in layer_names(resnet)
    # bn1 is followed by an in-place ReLU; what is kept is from before it.
    bn1 = resnet.trunk.bn1(resnet.trunk.conv1(torch.rand(1, 2, 32, 32)))
    assert (bn1 < 0).any()


@torch.no_grad()
def test_taking_features_leaves_no_trace() -> None:
    encoder, tiles = tiny(), torch.rand(2, 2, 16, 16)
    before = encoder(tiles)
    pooled_layers(encoder, ("conv2",), tiles)
    with pytest.raises(RunError):
        pooled_layers(encoder, ("pool",), tiles)
    assert torch.equal(encoder(tiles), before)
    assert not any(module._forward_hooks for module in encoder.modules())


def test_layers_that_cannot_be_taken_are_named() -> None:
    tiles = torch.rand(2, 2, 16, 16)
    with pytest.raises(RunError, match=r"no layer is called 'conv6'; expected one of: conv1, .*did you mean 'conv"):
        pooled_layers(tiny(), ("conv6",), tiles)
    with pytest.raises(RunError, match="layer 'conv1' is listed twice"):
        pooled_layers(tiny(), ("conv1", "conv1"), tiles)
    with pytest.raises(RunError, match="layer 'pool' is called several times in one pass; name the block around it"):
        pooled_layers(tiny(), ("pool",), tiles)
    small = build_backbone(SmallCnnConfig(widths=(4,), dense=()), 2)
    unused = nn.Sequential(small)
    unused.get_submodule("0").add_module("spare", nn.Linear(1, 1))
    with pytest.raises(RunError, match=r"layer '0\.spare' is not called"):
        pooled_layers(unused, ("0.spare",), tiles)
    unfold = nn.Sequential(nn.Unfold(3))
    with pytest.raises(RunError, match=r"layer '0' gives \(2, 18, 196\); expected maps \(n, D, H, W\) or vectors"):
        pooled_layers(unfold, ("0",), tiles)
