"""Features from inside a network: the output of any named layer, pooled over space, in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from framework.errors import RunError, did_you_mean

SpatialPool: TypeAlias = Literal["max", "mean"]


def layer_names(network: nn.Module) -> list[str]:
    """Return the names of all layers of a network, outer ones first."""
    return [name for name, _ in network.named_modules() if name]


def need_layers(network: nn.Module, layers: Sequence[str]) -> None:
    """Check that a network has all ``layers``, each named once.

    Raises:
        RunError: an unknown name, or one named twice.
    """
    known = layer_names(network)
    for name in layers:
        if name not in known:
            outer = [layer for layer in known if layer.count(".") <= 1]
            raise RunError(
                f"no layer is called '{name}'; expected one of: {', '.join(outer)}{did_you_mean(name, known)}"
            )
        if list(layers).count(name) > 1:
            raise RunError(f"layer '{name}' is listed twice; list each layer once")


def pooled_layers(
    network: nn.Module, layers: Sequence[str], tiles: torch.Tensor, pool: SpatialPool = "max"
) -> dict[str, torch.Tensor]:
    """Run a network and return what its layers gave, pooled over space.

    Args:
        network: any module that takes (n, C, H, W).
        layers: names of its submodules, as ``layer_names`` gives them.
        tiles: (n, C, H, W).
        pool: ``max`` (Lu et al. 2019) or ``mean`` over space.

    Returns:
        Layer -> float32 (n, maps of that layer); a layer without space is returned as it is.

    Raises:
        RunError: an unknown layer, one that one pass calls several times or never, or one that gives no maps.
    """
    need_layers(network, layers)
    found: dict[str, torch.Tensor] = {}
    taps = [network.get_submodule(name).register_forward_hook(_tap(name, found, pool)) for name in layers]
    try:
        network(tiles)
    finally:
        for tap in taps:
            tap.remove()
    silent = [name for name in layers if name not in found]
    if silent:
        raise RunError(f"layer '{silent[0]}' is not called when the network runs; name another")
    return {name: found[name] for name in layers}


def _tap(name: str, found: dict[str, torch.Tensor], pool: SpatialPool) -> Callable[[nn.Module, Any, Any], None]:
    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if name in found:
            raise RunError(f"layer '{name}' is called several times in one pass; name the block around it")
        if not isinstance(output, torch.Tensor) or output.ndim not in (2, 4):
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise RunError(f"layer '{name}' gives {shape}; expected maps (n, D, H, W) or vectors (n, D)")
        # Pooled at once: a later in-place ReLU may overwrite the maps.
        if output.ndim == 4:
            output = output.amax(dim=(-2, -1)) if pool == "max" else output.float().mean(dim=(-2, -1))
        found[name] = output.float()

    return keep
