"""Some genes of several linear heads: weights of all models in one tensor, their gradients, their optimiser.

The loss is a square, so gradients are written down rather than traced: with errors e of z-scores (M, K, g), those of
the weights are e' x and those of the biases the sums of e, each times 2 / count.

Shape letters beside those of the project: M models, g genes of the chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from framework.run.heads.visits import Seen
from framework.trainer import OPTIMISERS, OptimConfig


@dataclass(frozen=True, kw_only=True)
class HeadState:
    """One model as it stands.

    Attributes:
        weight, bias: (G, D) and (G,).
        moments: name in the optimiser's state -> what it holds of weight and bias, tensors of their shapes, or numbers.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    moments: dict[str, tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True, kw_only=True)
class GeneFacts:
    """What a chunk knows of its genes.

    Attributes:
        labels: (T (B + 1), g) measured values of T targets, NaN where unknown; the last row of each, of no bag, is 0.
        mean, sd: (M, g) over the training bags of each model.
        excluded: (M, g) genes that a model does not learn; None: it learns all.
    """

    labels: torch.Tensor
    mean: torch.Tensor
    sd: torch.Tensor
    excluded: torch.Tensor | None


class Chunk:
    """Weights (M, g, D) and biases (M, g) of some genes, and their optimiser."""

    def __init__(self, facts: GeneFacts, weight: torch.Tensor, bias: torch.Tensor, optim: OptimConfig) -> None:
        self.facts, self._optim = facts, optim
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self._optimiser = _optimiser([self.weight, self.bias], optim)

    def errors(self, seen: Seen, is_complete: bool) -> torch.Tensor:
        """Return prediction minus measurement as z-scores (M, K, g), 0 where nothing is measured.

        Args:
            seen: bags.
            is_complete: whether all that the models learn is measured in all of their bags.
        """
        facts = self.facts
        errors = facts.labels.index_select(0, seen.bags.flatten()).view(*seen.bags.shape, -1)
        unknown = None if is_complete else errors.isnan()
        errors.sub_(facts.mean[:, None]).div_(facts.sd[:, None]).sub_(self.bias[:, None])
        # One pass over memory, where a product and a difference would be two.
        errors.baddbmm_(seen.vectors, self.weight.transpose(1, 2), beta=-1)
        if unknown is not None:
            errors.masked_fill_(unknown, 0.0)
        if seen.there is not None:
            errors.mul_(seen.there)
        if facts.excluded is not None:
            errors.masked_fill_(facts.excluded[:, None], 0.0)
        return errors

    def differentiate(self, errors: torch.Tensor, seen: torch.Tensor, scale: torch.Tensor) -> None:
        """Set the gradients of ``scale`` (M,) times the sum of squared errors; ``errors`` are overwritten."""
        errors.mul_((2.0 * scale)[:, None, None])
        self.weight.grad = torch.bmm(errors.transpose(1, 2), seen)
        self.bias.grad = errors.sum(dim=1)

    def squared_norms(self) -> torch.Tensor:
        """Return the sum of squares (M,) of each model's gradients, float64."""
        weight, bias = self._gradients()
        return weight.square().sum(dim=(1, 2)).double() + bias.square().sum(dim=1).double()

    def shrink(self, factors: torch.Tensor) -> None:
        """Multiply the gradients of each model by its factor (M,)."""
        weight, bias = self._gradients()
        weight.mul_(factors[:, None, None])
        bias.mul_(factors[:, None])

    def update(self, rate: float) -> None:
        """Make a step of the optimiser, and forget the gradients."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        self.weight.grad = self.bias.grad = None

    def keep(self, models: torch.Tensor) -> None:
        """Go on with these models (m,) alone, in this order."""
        facts = self.facts
        excluded = None if facts.excluded is None else facts.excluded[models]
        self.facts = GeneFacts(labels=facts.labels, mean=facts.mean[models], sd=facts.sd[models], excluded=excluded)
        states = [self._optimiser.state[each] for each in (self.weight, self.bias)]
        before = (self.weight, self.bias)
        self.weight, self.bias = (nn.Parameter(each.data[models], requires_grad=False) for each in before)
        self._optimiser = _optimiser([self.weight, self.bias], self._optim)
        for new, old, state in zip((self.weight, self.bias), before, states, strict=True):
            self._optimiser.state[new] = {
                name: value[models] if _is_like(value, old) else value for name, value in state.items()
            }

    def state_of(self, model: int) -> HeadState:
        """Return a copy of one model's genes, on the CPU."""
        states = [self._optimiser.state[each] for each in (self.weight, self.bias)]
        moments = {
            name: (
                _of(model, states[0][name], self.weight),
                _of(model, states[1][name], self.bias),
            )
            for name in states[0]
            if isinstance(states[0][name], torch.Tensor)
        }
        return HeadState(
            weight=_of(model, self.weight.data, self.weight),
            bias=_of(model, self.bias.data, self.bias),
            moments=moments,
        )

    def _gradients(self) -> tuple[torch.Tensor, torch.Tensor]:
        weight, bias = self.weight.grad, self.bias.grad
        if weight is None or bias is None:
            raise RuntimeError("no gradients: differentiate comes first")
        return weight, bias


def joined(parts: Sequence[HeadState], genes: torch.Tensor | None) -> HeadState:
    """Return the parts of one model as one, of ``genes`` (n,) alone, or of all."""
    if len(parts) == 1 and genes is None:
        return parts[0]

    def together(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        if tensors[0].ndim == 0:
            return tensors[0]
        whole = torch.cat(list(tensors))
        return whole if genes is None else whole[genes]

    return HeadState(
        weight=together([part.weight for part in parts]),
        bias=together([part.bias for part in parts]),
        moments={
            name: (
                together([part.moments[name][0] for part in parts]),
                together([part.moments[name][1] for part in parts]),
            )
            for name in parts[0].moments
        },
    )


def _optimiser(parameters: list[nn.Parameter], config: OptimConfig) -> torch.optim.Optimizer:
    """Return the optimiser; where torch can, its step is one pass over memory, with the same numbers but rounding."""
    optimiser = OPTIMISERS.get(config.name).build(parameters, config)
    for group in optimiser.param_groups:
        if group.get("fused", False) is None:
            group["fused"], group["foreach"] = True, False
    return optimiser


def _is_like(value: object, parameter: torch.Tensor) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == parameter.shape


def _of(model: int, value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Return what ``value`` holds of a model; a number that all models share as it is."""
    return (value[model] if _is_like(value, parameter) else value).detach().cpu().clone()
