"""Checkpoints of others load into our ResNet-18 by renaming alone."""

from __future__ import annotations

import pytest
import torch

from framework.errors import CheckpointError
from framework.models import ResNet18Config, build_backbone
from framework.models.published import from_image2omics, from_torchvision

_PREFIXES = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def made_up_checkpoint() -> dict[str, torch.Tensor]:
    """The published layout, filled with numbers that tell every tensor apart."""
    state: dict[str, torch.Tensor] = {}
    for name, value in build_backbone(ResNet18Config(), 3).state_dict().items():
        part, rest = name.split(".", 1)
        if part == "trunk":
            stage, rest = rest.split(".", 1)
            key = f"base.{_PREFIXES[stage]}.{rest}"
        else:
            key = f"head.module.{rest}"
        state[key] = torch.full_like(value, len(state) + 1)
    state["head.final.weight"] = torch.full((7, 128), 0.5)
    state["head.final.bias"] = torch.full((7,), 0.25)
    return state


def test_image2omics_checkpoint_loads_completely() -> None:
    published = made_up_checkpoint()
    renamed, (weight, bias) = from_image2omics(published)
    encoder = build_backbone(ResNet18Config(), 3)
    encoder.load_state_dict(renamed)
    pairs = {
        "base.0.weight": encoder.trunk.conv1.weight,
        "base.1.running_mean": encoder.trunk.bn1.running_mean,
        "base.5.0.downsample.0.weight": encoder.trunk.layer2[0].downsample[0].weight,
        "base.7.1.bn2.bias": encoder.trunk.layer4[1].bn2.bias,
        "head.module.1.weight": encoder.head[1].weight,
        "head.module.4.bias": encoder.head[4].bias,
    }
    for key, value in pairs.items():
        torch.testing.assert_close(value.detach(), published[key])
    assert len(set(renamed)) == len(published) - 2
    assert weight.shape == (7, 128)
    assert bias.tolist() == [0.25] * 7


def test_a_foreign_key_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"key 'base.3.weight' is not of an Image2Omics checkpoint"):
        from_image2omics({**made_up_checkpoint(), "base.3.weight": torch.ones(1)})


def test_a_checkpoint_without_targets_is_refused() -> None:
    state = made_up_checkpoint()
    del state["head.final.bias"]
    with pytest.raises(CheckpointError, match=r"has head.final.bias; not found"):
        from_image2omics(state)


def test_torchvision_weights_load_without_their_classifier() -> None:
    trunk = build_backbone(ResNet18Config(), 3).trunk
    state = {name: torch.full_like(value, 2) for name, value in trunk.state_dict().items()}
    state |= {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)}
    trunk.load_state_dict(from_torchvision(state))
    assert (trunk.layer4[0].conv1.weight == 2).all()
