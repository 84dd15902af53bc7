"""Files of weights that others, or we, have trained: read without running code, and named as our networks name them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from framework.errors import CheckpointError
from framework.files.failures import check_regular
from framework.files.json_file import read_mapping
from framework.files.tensors import load_tensors, load_weights_only
from framework.models.published import LICENCES, from_efficientnet, from_image2omics, from_torchvision, is_efficientnet

MODEL_FILE, TENSORS_FILE = "model.json", "model.safetensors"
KIND = "wellstream model"
"""What ``model.json`` of an export begins with, under the key ``kind``."""
_WRAPPED = ("state_dict", "model_state_dict", "model")
_OF_IMAGE2OMICS = ("base.", "head.module.", "head.final.")
_PARTS_OF_RUNS = ("bag_encoder.encoder.", "network.source.")
_EXPORT = "a folder of 'wellstream export'"


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """The weights of a file.

    Attributes:
        file: where they are from.
        sha256: sha256 of that file.
        layout: layout whose names it has, in words.
        state: name -> tensor, by our names; those of a trunk alone may lack their ``trunk.``.
        left: names of tensors that are not part of a network which embeds, as a classifier.
        channels: names of the channels the first layer saw, in order; empty where the file does not say.
        network: options of the network, where the file says them.
        facts: ``model.json`` of an export; of a file that is known by its SHA-256 its ``licence``; else empty.
    """

    file: Path
    sha256: str
    layout: str
    state: Mapping[str, torch.Tensor]
    left: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def read_weights(path: Path | str) -> PublishedWeights:
    """Read the weights of an export's folder, a ``.safetensors``, or a file that ``torch.save`` wrote.

    Raises:
        CheckpointError: no such file, a damaged one, one that holds code, one without a tensor, or a folder that is no
            export.
    """
    path = Path(path)
    if path.is_dir():
        return _read_export(path)
    check_regular(path, CheckpointError, "a file of weights")
    state = load_tensors(path) if path.suffix == ".safetensors" else _unwrapped(path, load_weights_only(path))
    layout, named, left = _by_our_names(path, state)
    sha256 = _sha256(path)
    facts = {"licence": LICENCES[sha256]} if sha256 in LICENCES else {}
    return PublishedWeights(file=path, sha256=sha256, layout=layout, state=named, left=left, facts=facts)


def read_heads(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (G, D) and bias (G,) of the target layer in a checkpoint of Image2Omics' authors.

    Raises:
        CheckpointError: no such file, a damaged one, or no checkpoint of theirs.
    """
    state = _without_wrapper(_unwrapped(path, load_weights_only(path)))
    try:
        return from_image2omics(state)[1]
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}; name a checkpoint that the authors of Image2Omics published") from None


def _without_wrapper(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict without the ``module.`` that torch's DataParallel puts before every name."""
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): value for name, value in state.items()}
    return state


def _read_export(folder: Path) -> PublishedWeights:
    file = folder / MODEL_FILE
    if not file.is_file():
        is_run = (folder / "config.yaml").is_file()
        then = f"write one with: wellstream export {folder if is_run else 'RUN'} --out FOLDER"
        raise CheckpointError(
            f"{folder}: {'a run folder' if is_run else f'no {MODEL_FILE}'}, expected {_EXPORT}; {then}"
        )
    facts = read_mapping(file, error=CheckpointError, what=_EXPORT, then="export the run again")
    channels, network = facts.get("channels"), facts.get("network")
    names = isinstance(channels, list) and channels and all(isinstance(name, str) for name in channels)
    if facts.get("kind") != KIND or not names or not isinstance(network, dict):
        raise CheckpointError(f"{file}: expected {_EXPORT}, with kind, channels and network; export the run again")
    tensors = folder / TENSORS_FILE
    state, sha256 = load_tensors(tensors), _sha256(tensors)
    if facts.get("sha256") != sha256:
        raise CheckpointError(f"{tensors}: not the file that {MODEL_FILE} beside it describes; copy or export it again")
    return PublishedWeights(
        file=folder,
        sha256=sha256,
        layout="an export of wellstream",
        state=state,
        channels=tuple(channels or ()),
        network=network,
        facts=facts,
    )


def _unwrapped(file: Path, loaded: Any) -> dict[str, torch.Tensor]:
    """Return the state dict of a loaded file, which may stand under a key beside other things."""
    for key in _WRAPPED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise CheckpointError(
            f"{file}: expected a state dict (names of parameters with tensors); save model.state_dict() alone"
        )
    wrong = [name for name, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        found = type(loaded[wrong[0]]).__name__
        raise CheckpointError(
            f"{file}: expected a state dict (names of parameters with tensors), but '{str(wrong[0])[:80]}' is "
            f"a {found}; save model.state_dict() alone"
        )
    return {str(name): value for name, value in loaded.items()}


def _by_our_names(
    file: Path, state: Mapping[str, torch.Tensor]
) -> tuple[str, Mapping[str, torch.Tensor], tuple[str, ...]]:
    """Return whose names a file has, its tensors by ours, and the names of those that are not part of a network."""
    if not state:
        raise CheckpointError(f"{file}: holds no tensor; save the weights again")
    state = _without_wrapper(dict(state))
    if any(name.startswith(_OF_IMAGE2OMICS) for name in state):
        try:
            named, _ = from_image2omics(state)
        except CheckpointError as error:
            raise CheckpointError(f"{file}: {error}; save the authors' checkpoint again") from None
        return "Image2Omics", named, tuple(name for name in state if name.startswith("head.final."))
    for prefix in _PARTS_OF_RUNS:
        if any(name.startswith(prefix) for name in state):
            mine = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            return "a checkpoint of wellstream", mine, tuple(name for name in state if not name.startswith(prefix))
    if is_efficientnet(state):
        return "EfficientNet-PyTorch", *from_efficientnet(state)
    if any(name.startswith("trunk.") for name in state):
        return "a network of wellstream", state, ()
    named = from_torchvision(state)
    layout = "torchvision" if any(name.startswith("layer1.") for name in named) else "a network without its head"
    return layout, named, tuple(name for name in state if name not in named)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
