"""What the objectives of bags with targets share: their options, heads on bag embeddings, the loss, the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from framework.config import StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.models import BagEncoder
from framework.objectives.bag_encoding import EncodesBags
from framework.objectives.base import Gather, Losses, Output, Predicts, PretrainedConfig, at_least_float32
from framework.objectives.omics_targets import TargetFacts, aligned


class TargetsConfig(PretrainedConfig):
    """Options of objectives that predict targets of bags."""

    name: str
    targets: tuple[str, ...] = Field(min_length=1)
    """Targets of the dataset; each has its own linear head. A bag counts only for targets that were measured for it."""
    authors_relu: bool = False
    """Put a ReLU before the linear layer, as the authors' code does; the paper has a linear map of the embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before the linear layer; the paper does not state its rate."""

    @model_validator(mode="after")
    def _each_target_once(self) -> Self:
        twice = sorted({name for name in self.targets if self.targets.count(name) > 1})
        if twice:
            raise ValueError(f"targets: {', '.join(twice)} is listed twice; list each target once")
        return self


class PredictsTargets(EncodesBags, Predicts):
    """Base class: a bag encoder, then ``Linear`` (or ``ReLU, Dropout, Linear``) per target, to z-scored genes.

    Args:
        config: config of the objective.
        profile: profile of the objective.
        encoder: the bag encoder.
        backbone: options its backbone was built from.
        channels: names of the channels it sees, in order.
        targets: what was measured of each target.
    """

    predicts_per: ClassVar[Literal["bag", "tile"]] = "bag"
    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(
        self,
        config: TargetsConfig,
        profile: StrictModel,
        *,
        encoder: BagEncoder,
        backbone: StrictModel,
        channels: tuple[str, ...],
        targets: tuple[TargetFacts, ...],
    ) -> None:
        super().__init__(config, profile, encoder=encoder, backbone=backbone, channels=channels)
        self.targets = targets
        self.activation: nn.Module = nn.ReLU() if config.authors_relu else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.ModuleList(nn.Linear(self.bag_encoder.width, len(t.genes)) for t in targets)
        self.register_buffer("mean", _joined([t.train_mean for t in targets]))
        self.register_buffer("sd", _joined([t.train_sd for t in targets]))

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return ``targets``: float32 (B, P) measured values, columns as ``outputs``.

        NaN where a bag or gene is not measured. A target or gene that the dataset does not have is all NaN, so images
        without omics can be predicted too.
        """
        parts = [aligned(dataset, facts) for facts in self.targets]
        values = torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))
        return {"targets": LabelTable(per="bag", values=values)}

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return squared errors of z-scored genes, summed over measured (bag, gene) pairs."""
        batch = batch.without_padding()
        measured = batch.labels["targets"]
        known = torch.isfinite(measured)
        wanted = (torch.where(known, measured, self.mean) - self.mean) / self.sd
        errors = torch.where(known, self._scores(batch) - wanted, 0.0).square()
        widths = [len(target.genes) for target in self.targets]
        split = zip(torch.split(errors.detach(), widths, 1), torch.split(known, widths, 1), strict=True)
        sums = [(error.sum(), count.sum().float()) for error, count in split]
        parts = {f"mse/{target.target}": part for target, part in zip(self.targets, sums, strict=True)}
        return Losses(total=errors.sum(), count=known.sum().float(), parts=parts)

    def predict(self, batch: Batch) -> torch.Tensor:
        """(K, P) in the units of the targets: every head predicts every bag, also if the target was not measured for
        it."""
        return self._scores(batch) * self.sd + self.mean

    def outputs(self) -> list[Output]:
        """Return one column per gene, its facts in the target's units."""
        return [
            Output(target=facts.target, name=gene, train_mean=mean, train_sd=sd)
            for facts in self.targets
            for gene, mean, sd in zip(facts.genes, facts.train_mean, facts.train_sd, strict=True)
        ]

    def head_input(self, embedded: torch.Tensor) -> torch.Tensor:
        """(K, N, E) -> (K, D), what the heads see of each bag, before dropout. Raises as ``embed_bags``."""
        return torch.as_tensor(self.activation(self.embed_bags(embedded)))

    def _scores(self, batch: Batch) -> torch.Tensor:
        """(K, P) z-scores."""
        cached = batch.tiles.ndim == 3
        bags = self.dropout(self.head_input(batch.tiles if cached else self.embed_tiles(batch.tiles)))
        return at_least_float32(torch.cat([head(bags) for head in self.heads], dim=1))


def _joined(columns: Sequence[Sequence[float]]) -> torch.Tensor:
    return torch.tensor([value for column in columns for value in column], dtype=torch.float32)
