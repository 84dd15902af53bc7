"""Published weights into a network: all of its trunk or nothing, the first layer by a named rule, and what was left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from framework.errors import CheckpointError
from framework.models.options import FirstLayer, NetworkOptions
from framework.models.weights_file import PublishedWeights, read_weights

_TRUNK, _HEAD = "trunk.", "head."
_COUNTER = "num_batches_tracked"
_SHOWN = 3

State = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a network took of a file of weights.

    Attributes:
        file: where the weights are from.
        sha256: sha256 of that file.
        layout: layout whose names it has.
        first_layer: how the channels got their filters.
        taken: names of the network's parameters and buffers that have the file's values.
        fresh: names of those that have not.
        left: names in the file that the network has no use for.
        licence: licence of the weights, where the file says it.
    """

    file: str
    sha256: str
    layout: str
    first_layer: str
    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    left: tuple[str, ...]
    licence: str | None

    def plain(self) -> dict[str, Any]:
        """Return it as it is written to a run folder."""
        return asdict(self)

    def sentence(self) -> str:
        """Say it in a line."""
        kept = f"{len(self.fresh)} begin anew ({_some(self.fresh)})" if self.fresh else "none begins anew"
        left = (
            f"{len(self.left)} of the file are left ({_some(self.left)})" if self.left else "none of the file is left"
        )
        return (
            f"{self.file}: weights of {self.layout}: {len(self.taken)} tensors are taken, {kept}, {left}; first layer: "
            f"{self.first_layer}"
        )


def take_weights(network: nn.Module, options: NetworkOptions, channels: Sequence[str]) -> Taken:
    """Give a network the weights that its options name.

    Args:
        network: as it begins; changed in place.
        options: options of the network, with ``weights``.
        channels: names of those it sees, in order.

    Returns:
        What was taken and what was left.

    Raises:
        CheckpointError: no weights that can be read or found, or not those of this network; nothing is changed then.
    """
    found = read_weights(options.weights_file())
    theirs = found.network.get("name")
    if theirs not in (None, options.name):
        raise CheckpointError(
            f"{found.file}: holds weights of the network '{theirs}', but the run has '{options.name}'; choose "
            "the same network for both"
        )
    target: State = network.state_dict()
    state, left = _fitted(found, network, options)
    first, said = _first_layer(network, target, state, found, channels, options.first_layer)
    state |= first
    _need_same(found, target, state)
    fresh = tuple(name for name in target if name not in state)
    network.load_state_dict({**target, **state})
    return Taken(
        file=str(found.file),
        sha256=found.sha256,
        layout=found.layout,
        first_layer=said,
        taken=tuple(name for name in target if name in state),
        fresh=fresh,
        left=(*found.left, *left),
        licence=found.facts.get("licence"),
    )


def _fitted(found: PublishedWeights, network: nn.Module, options: NetworkOptions) -> tuple[State, tuple[str, ...]]:
    """Return the tensors by the names of this network, and the names of those that it has no part for."""
    own = network.state_dict()
    parts = {name.split(".")[0] for name in own}
    inner = {name.split(".")[1] for name in own if name.startswith(_TRUNK)}
    state: State = {}
    left = []
    for name, value in found.state.items():
        mine = _TRUNK + name if name.split(".")[0] in inner else name if inner else name.removeprefix(_TRUNK)
        if mine.split(".")[0] not in parts or (options.take == "trunk" and mine.startswith(_HEAD)):
            left.append(name)
        else:
            state[mine] = value
    return state, tuple(left)


def _first_layer(
    network: nn.Module,
    target: State,
    state: State,
    found: PublishedWeights,
    channels: Sequence[str],
    rule: FirstLayer,
) -> tuple[State, str]:
    """Return the filters of the first convolution for the channels of the run, and in words where they are from."""
    name = next((f"{name}.weight" for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)), None)
    if name is None or name not in state or name not in target:
        return {}, "as the file has it"
    theirs, mine = state[name], target[name]
    if theirs.ndim != mine.ndim or theirs.shape[0] != mine.shape[0] or theirs.shape[2:] != mine.shape[2:]:
        return {}, ""  # the shapes are compared, and refused, with all others
    there = theirs.shape[1]
    known = found.channels if len(found.channels) == there else ()
    if not known and there == len(channels):
        return {}, f"the file's {there} channels in their order, whose names it does not say"
    filters, from_file = [], []
    for place, channel in enumerate(channels):
        if channel in known:
            filters.append(theirs[:, known.index(channel)])
            from_file.append(channel)
        else:
            filters.append(_by_rule(theirs, mine, place, len(channels), rule))
    others = [channel for channel in channels if channel not in from_file]
    if others and rule == "same":
        has = f"the channels {', '.join(known)}" if known else f"{there} channel(s)"
        raise CheckpointError(
            f"{found.file}: its first layer has {has}, the run has {', '.join(channels)}; choose a rule for the "
            "others: 'first_layer: mean', repeat or fresh"
        )
    said = [f"{', '.join(from_file)} by name"] if from_file else []
    said += [f"{', '.join(others)} by the rule '{rule}' from {there} channel(s)"] if others else []
    unused = [channel for channel in known if channel not in channels]
    said += [f"{', '.join(unused)} of the file left"] if unused else []
    return {name: torch.stack(filters, dim=1)}, "; ".join(said)


def _by_rule(theirs: torch.Tensor, mine: torch.Tensor, place: int, n: int, rule: FirstLayer) -> torch.Tensor:
    """Return the filters (out, h, w) of a channel that the file does not have by name."""
    there = theirs.shape[1]
    if rule == "mean":
        return theirs.mean(dim=1) * (there / n)
    return theirs[:, place % there] * (there / n) if rule == "repeat" else mine[:, place].to(theirs.dtype)


def _need_same(found: PublishedWeights, target: State, state: Mapping[str, torch.Tensor]) -> None:
    """Refuse a file that is not of this network; dense layers that it lacks altogether may be lacking."""
    has_head = any(name.startswith(_HEAD) for name in state)
    missing = [
        name
        for name in target
        if name not in state and not name.endswith(_COUNTER) and (has_head or not name.startswith(_HEAD))
    ]
    unknown = [name for name in state if name not in target]
    other = [name for name in state if name in target and state[name].shape != target[name].shape]
    said = [f"{len(missing)} missing ({_some(missing)})"] if missing else []
    said += [f"{len(unknown)} unknown ({_some(unknown)})"] if unknown else []
    if other:
        there, here = (" x ".join(map(str, each[other[0]].shape)) or "1" for each in (state, target))
        said.append(f"{len(other)} of another shape ({other[0]}: {there} there, {here} here)")
    if said:
        dense = all(name.startswith(_HEAD) for name in (*missing, *unknown, *other))
        then = "set 'dense' to the layers of the file, or 'take: trunk' to begin them anew" if dense else (
            "choose the network that they are of, with its options")  # fmt: skip
        raise CheckpointError(f"{found.file}: not the weights of this network: {', '.join(said)}; {then}")
    for name, value in state.items():
        if target[name].is_floating_point() and not (value.is_floating_point() and bool(torch.isfinite(value).all())):
            raise CheckpointError(f"{found.file}: '{name}' holds values that are not finite numbers; copy it again")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
