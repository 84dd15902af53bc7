"""Models of targets of one size, trained side by side: a step of all is a few operations, however many they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from framework.data.permutation import I64
from framework.run.heads.chunk import Chunk, GeneFacts, HeadState, joined
from framework.run.heads.visits import Seen
from framework.trainer import OptimConfig

_CHUNK_NUMBERS = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Weights of a chunk: few enough for the caches of a CPU, enough to keep a GPU busy."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Beginning:
    """How a model of a stack begins.

    Attributes:
        table: table of the labels of the stack, which are those of its target.
        genes: int64 (n,), columns of the target's table that it learns.
        mean, sd: float32 (n,), over its training bags.
        weight, bias: (n, D) and (n,).
        bags: int64, its training and validation bags.
    """

    table: int
    genes: I64
    mean: npt.NDArray[np.float32]
    sd: npt.NDArray[np.float32]
    weight: torch.Tensor
    bias: torch.Tensor
    bags: I64


class Stack:
    """Heads of targets with equally many genes, over several splits.

    Rows of the labels are those of all tables, one after the other, each with a row of no bag (zeros) at its end.

    Args:
        labels: labels of each target, float32 (B, G), NaN where nothing is measured.
        models: how each begins.
        optim: their optimiser.
        device: where they are trained.
        rows: most bags that a model sees at once.

    Attributes:
        offsets: offsets of each model, the row at which the labels of its target begin.
        nobody: a row of no bag.
        multiplications: how many the predictions of a step take.
    """

    def __init__(
        self,
        labels: Sequence[npt.NDArray[np.float32]],
        models: Sequence[Beginning],
        optim: OptimConfig,
        device: torch.device,
        rows: int,
    ) -> None:
        bags, genes = labels[0].shape
        self._genes = [None if len(each.genes) == genes else torch.from_numpy(each.genes) for each in models]
        self._optim, self._device = optim, device
        self.offsets = [each.table * (bags + 1) for each in models]
        self.nobody = bags
        self.multiplications = len(models) * rows * models[0].weight.shape[1] * genes
        self._is_complete = all(
            bool(np.isfinite(table[np.unique(np.concatenate(used))]).all())
            for place, table in enumerate(labels)
            if (used := [each.bags for each in models if each.table == place])
        )
        self._counts = _counts(labels, models).to(device)
        widths = max(models[0].weight.shape[1], rows)
        size = max(1, _CHUNK_NUMBERS[device.type] // (len(models) * widths))
        self._chunks = [self._chunk(labels, models, slice(at, min(at + size, genes))) for at in range(0, genes, size)]

    def __len__(self) -> int:
        return len(self._genes)

    def counts(self, bags: torch.Tensor) -> torch.Tensor:
        """Return how many genes are measured in bags (M, K) of each model, float64 (M,)."""
        return self._counts.gather(1, bags).sum(dim=1)

    def losses(self, seen: Seen) -> torch.Tensor:
        """Return sums of squared errors of each model, float64 (M,)."""
        sums = [chunk.errors(seen, self._is_complete).square_().sum(dim=(1, 2)) for chunk in self._chunks]
        return torch.stack(sums).double().sum(dim=0)

    def step(self, seen: Seen, rate: float, *, norms: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Make a step of every model.

        Args:
            seen: bags of the step.
            rate: learning rate.
            norms: whether the norms of gradients are asked for.

        Returns:
            Sums of squared errors and numbers of measured values, float64 (M,) each; norms of the gradients (M,).
        """
        counts, clip = self.counts(seen.bags), self._optim.clip_norm
        scale = counts.clamp(min=1.0).reciprocal().float()
        losses = torch.zeros_like(counts)
        squares = torch.zeros_like(counts)
        for chunk in self._chunks:
            errors = chunk.errors(seen, self._is_complete)
            losses += errors.square().sum(dim=(1, 2))
            chunk.differentiate(errors, seen.vectors, scale)
            if norms or clip is not None:
                squares += chunk.squared_norms()
            if clip is None:
                chunk.update(rate)
        if clip is not None:
            # As torch's clip_grad_norm_ over the parameters of one model.
            factors = (clip / (squares.sqrt() + 1e-6)).clamp(max=1.0).float()
            for chunk in self._chunks:
                chunk.shrink(factors)
                chunk.update(rate)
        return losses, counts, squares.sqrt() if norms else None

    def state_of(self, model: int) -> HeadState:
        """Return a copy of a model, on the CPU: of the genes that it learns."""
        return joined([chunk.state_of(model) for chunk in self._chunks], self._genes[model])

    def keep(self, models: Sequence[int]) -> None:
        """Go on with these models alone."""
        chosen = torch.tensor(models, dtype=torch.int64, device=self._device)
        self._genes = [self._genes[model] for model in models]
        self.offsets = [self.offsets[model] for model in models]
        self._counts = self._counts[chosen]
        for chunk in self._chunks:
            chunk.keep(chosen)

    def _chunk(self, labels: Sequence[npt.NDArray[np.float32]], models: Sequence[Beginning], genes: slice) -> Chunk:
        size = genes.stop - genes.start
        nobody = np.zeros((1, size), dtype=np.float32)
        padded = np.concatenate([part for table in labels for part in (table[:, genes], nobody)])
        mean, sd = torch.zeros(len(models), size), torch.ones(len(models), size)
        weight, bias = torch.zeros(len(models), size, models[0].weight.shape[1]), torch.zeros(len(models), size)
        excluded = torch.ones(len(models), size, dtype=torch.bool)
        for model, begins in enumerate(models):
            inside = np.flatnonzero((begins.genes >= genes.start) & (begins.genes < genes.stop))
            there = torch.from_numpy(begins.genes[inside] - genes.start)
            mean[model, there], sd[model, there] = (torch.from_numpy(each[inside]) for each in (begins.mean, begins.sd))
            weight[model, there], bias[model, there] = begins.weight[inside], begins.bias[inside]
            excluded[model, there] = False
        facts = GeneFacts(
            labels=torch.from_numpy(padded).to(self._device),
            mean=mean.to(self._device),
            sd=sd.to(self._device),
            excluded=excluded.to(self._device) if excluded.any() else None,
        )
        return Chunk(facts, weight.to(self._device), bias.to(self._device), self._optim)


def _counts(labels: Sequence[npt.NDArray[np.float32]], models: Sequence[Beginning]) -> torch.Tensor:
    """Return how many genes that a model learns are measured in each row of the labels, float64; 0 for other models."""
    rows = len(labels[0]) + 1
    counts = np.zeros((len(models), rows * len(labels)))
    known = [np.isfinite(table) for table in labels]
    everything = [table.sum(axis=1) for table in known]
    for mine, model in zip(counts, models, strict=True):
        table, genes = known[model.table], model.genes
        found = everything[model.table] if len(genes) == table.shape[1] else table[:, genes].sum(axis=1)
        mine[model.table * rows : (model.table + 1) * rows - 1] = found
    return torch.from_numpy(counts)
