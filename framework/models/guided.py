"""Guided backpropagation for any network: which pixels raise a score, seen through ReLUs that pass only what helps it.

A ReLU normally passes the gradient where its input was positive; a guided one passes it only where the gradient is
positive too, so paths that lower the score are cut at every layer and a map of the remaining ones is sharp.

Source: Springenberg et al. 2015, Figure 1; IFC-seq, Figure S4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_RELUS = frozenset(
    {
        torch.relu,
        torch.relu_,
        functional.relu,
        functional.relu_,
        torch.Tensor.relu,
        torch.Tensor.relu_,
    }
)
_TOPS = {**dict.fromkeys(_RELUS, float("inf")), functional.relu6: 6.0}
"""Function -> the value above which it gives no more."""


def guided_gradients(score: Callable[[torch.Tensor], torch.Tensor], tiles: torch.Tensor) -> torch.Tensor:
    """Return the guided gradient of each score with respect to each pixel.

    Networks need no change: their ReLUs, as modules or as functions, are replaced while the score is computed. Put
    the network into eval mode first, or the tiles of a batch see each other in its normalisation.

    Args:
        score: float (n, ...) tiles -> (n, M) scores; row i may depend on tile i alone.
        tiles: float (n, C, H, W).

    Returns:
        float (n, M, C, H, W), without a graph of its own.
    """
    pixels = tiles.detach().requires_grad_()
    with torch.enable_grad():
        with _GuidedMode():
            scores = score(pixels)
        maps = [
            torch.autograd.grad(column.sum(), pixels, retain_graph=number + 1 < scores.shape[1])[0]
            for number, column in enumerate(scores.T)
        ]
    return torch.stack(maps, dim=1)


class _GuidedMode(TorchFunctionMode):
    """While open, every ReLU is a guided one."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _TOPS:
            given = args[0] if args else (kwargs or {})["input"]
            return _GuidedRelu.apply(given, _TOPS[func])  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _GuidedRelu(torch.autograd.Function):
    """min(max(0, x), top), whose gradient is passed where 0 < x < top and the gradient is positive."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, top: float) -> torch.Tensor:
        passed = x.clamp(min=0) if top == float("inf") else x.clamp(0, top)
        ctx.save_for_backward(passed)
        ctx.top = top
        return passed

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (passed,) = ctx.saved_tensors
        return torch.where((passed > 0) & (passed < ctx.top), gradients[0].clamp(min=0), 0.0), None
