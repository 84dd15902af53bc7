"""Gradient caching: any number of tiles in a step on any memory, at the price of a second forward pass.

The first pass keeps no activations, only each chunk's embeddings; the loss then sees all of them at once. When the
loss is differentiated, each chunk is run again and its share of the gradient goes straight into the weights
(Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup"; torch's activation
checkpointing does exactly this when a chunk is the checkpointed region).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch._compile import _disable_dynamo  # torch.compiler.disable loads the compiler: half of a command's start
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@_disable_dynamo
def in_chunks(
    module: nn.Module, function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, chunk: int
) -> torch.Tensor:
    """Return ``function(x)`` computed ``chunk`` rows at a time, keeping activations of at most one chunk.

    Gradients equal those of ``function(x)`` whenever rows do not influence each other. Batch normalisation in train
    mode does mix rows: it then uses the statistics of each chunk, and its running statistics advance once per chunk.
    Dropout draws the same mask in both passes. torch.compile leaves chunks as they are: it cannot trace the second
    pass, which must hold the running statistics.

    Args:
        module: owner of the weights, whose batch normalisation must not count the second pass.
        function: (n, ...) -> (n, E) on any number of rows.
        x: (n, ...), n >= 1.
        chunk: at most so many rows at a time, >= 1; chunks are of equal size to within one row.
    """
    parts = torch.tensor_split(x, -(-len(x) // chunk))
    if not torch.is_grad_enabled():
        return torch.cat([function(part) for part in parts])

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), running_statistics_held(module)

    return torch.cat([checkpoint(function, part, use_reentrant=False, context_fn=contexts) for part in parts])


@contextmanager
def running_statistics_held(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of batch normalisation as they are while ``module`` runs a second time."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        # Momentum 0 multiplies the old value by exactly 1, so nothing is written over what backward still needs.
        layer.momentum = 0.0
        layer.num_batches_tracked = None if layer.num_batches_tracked is None else layer.num_batches_tracked.clone()
    try:
        yield
    finally:
        for layer, (momentum, counted) in zip(layers, before, strict=True):
            layer.momentum = momentum
            layer.num_batches_tracked = counted
