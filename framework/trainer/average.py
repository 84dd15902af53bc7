"""An exponential moving average of the weights, kept beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from framework.errors import CheckpointError


class Average:
    """The average of the weights of an objective that train; every rank keeps the same.

    Args:
        objective: on its device, its weights loaded.
        decay: share of the average that is kept per step, once many steps are done.
        stored: name -> average, from a checkpoint; None: the average begins with the present weights.

    Raises:
        CheckpointError: ``stored`` belongs to another model.
    """

    def __init__(self, objective: nn.Module, decay: float, stored: Mapping[str, torch.Tensor] | None = None) -> None:
        self._decay = decay
        self._weights = {name: value for name, value in objective.named_parameters() if value.requires_grad}
        self._averages = {name: value.detach().clone() for name, value in self._weights.items()}
        if stored is not None:
            self._load(stored)

    def _load(self, stored: Mapping[str, torch.Tensor]) -> None:
        wanted = {name: tuple(value.shape) for name, value in self._averages.items()}
        found = {name: tuple(value.shape) for name, value in stored.items()}
        if wanted != found:
            differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            raise CheckpointError(
                f"the average of the weights belongs to another model: {len(differing)} tensors differ, first "
                f"'{differing[0]}'; use the config.yaml of the run that wrote it"
            )
        for name, value in stored.items():
            self._averages[name].copy_(value)

    @torch.no_grad()
    def update(self, done: int) -> None:
        """Take in the weights after ``done`` >= 1 completed steps."""
        kept = min(self._decay, (1 + done) / (10 + done))
        torch._foreach_lerp_(list(self._averages.values()), list(self._weights.values()), 1.0 - kept)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use the averages as weights of the objective; at the end its own weights are put back."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for name, weight in self._weights.items():
            weight.data, self._averages[name] = self._averages[name], weight.data

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return name of a weight -> its average, of the same shape, for a checkpoint."""
        return dict(self._averages)
