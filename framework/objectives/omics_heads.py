"""Linear heads from frozen bag embeddings to omics targets: one run for any number of targets.

Source: Image2Omics, Multi-omics Fine-tuning. The heads share nothing but the frozen embedding, so training them
together equals training one model per target up to the common divisor of the loss, which Adam cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import nn

from framework.config import StrictModel
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.errors import CheckpointError, RunError
from framework.models import Aggregate, BackboneChoice, BagEncoder, Pool, build_backbone
from framework.objectives.bag_encoding import EncodesBags
from framework.objectives.base import (
    OBJECTIVES,
    Gather,
    Losses,
    ObjectiveConfig,
    Output,
    Predicts,
    at_least_float32,
)
from framework.objectives.omics_targets import ProfileOfTargets, TargetTable, aligned
from framework.objectives.pretrained import PretrainedBackbone


class OmicsHeadsConfig(ObjectiveConfig):
    """Options of ``omics_heads``."""

    needs_pixels: ClassVar[bool] = False

    name: Literal["omics_heads"] = "omics_heads"
    targets: tuple[str, ...] = Field(min_length=1)
    """Targets of the dataset, each with its own linear head; a bag counts only for targets it has."""
    pretrained: str | None = None
    """Folder of the pretraining run whose frozen backbone embeds the bags; Python callers may hand one over instead."""
    authors_relu: bool = False
    """Put a ReLU before the linear layer, as the authors' code does; the paper has a linear map of the embedding."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before the linear layer; the paper does not state its rate."""

    @property
    def builds_on(self) -> str | None:
        """The run that ``pretrained`` names."""
        return self.pretrained

    def located(self, absolute: Callable[[str], str]) -> OmicsHeadsConfig:
        """Return the options with ``pretrained`` made ``absolute``."""
        return self.model_copy(update={"pretrained": self.pretrained and absolute(self.pretrained)})

    @model_validator(mode="after")
    def _each_target_once(self) -> OmicsHeadsConfig:
        twice = sorted({name for name in self.targets if self.targets.count(name) > 1})
        if twice:
            raise ValueError(f"targets: {', '.join(twice)} is listed twice; list each target once")
        return self


class OmicsHeadsProfile(ProfileOfTargets):
    """The frozen backbone's plan and the facts of each target."""

    channels: tuple[str, ...]
    backbone: BackboneChoice
    aggregate: Aggregate
    pool: Pool
    l2_normalise: bool


@OBJECTIVES.register("omics_heads", OmicsHeadsConfig)
class OmicsHeads(EncodesBags, Predicts):
    """Frozen bag encoder, then ``Linear`` (or ``ReLU, Dropout, Linear``) to z-scored genes.

    The backbone stays in eval mode and without gradients whatever the trainer does, so its batch normalisation uses
    the statistics of pretraining, and tiles may come as pixels or as embeddings cached from the same run.
    """

    profile_type: ClassVar[type[StrictModel]] = OmicsHeadsProfile
    predicts_per: ClassVar[Literal["bag", "tile"]] = "bag"
    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(self, config: OmicsHeadsConfig, profile: OmicsHeadsProfile) -> None:
        encoder = BagEncoder(
            build_backbone(profile.backbone, len(profile.channels)),
            aggregate=profile.aggregate,
            l2_normalise=profile.l2_normalise,
            pool=profile.pool,
        ).requires_grad_(False)
        super().__init__(config, profile, encoder=encoder, backbone=profile.backbone, channels=profile.channels)
        self.facts = profile
        self.activation: nn.Module = nn.ReLU() if config.authors_relu else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.ModuleList(nn.Linear(self.bag_encoder.width, len(t.genes)) for t in profile.targets)
        self.register_buffer("mean", _joined([t.train_mean for t in profile.targets]))
        self.register_buffer("sd", _joined([t.train_sd for t in profile.targets]))
        self.train()

    @classmethod
    def measure(
        cls,
        config: OmicsHeadsConfig,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> OmicsHeadsProfile:
        """Measure every gene on the training bags.

        Raises:
            RunError: no pretrained backbone, one of other channels, or a target without a measured training bag.
            DatasetError: a target the dataset does not have.
        """
        if pretrained is None:
            raise RunError("omics_heads builds on a frozen backbone: set objective.pretrained to a pretraining run")
        if pretrained.channels != channels:
            raise RunError(
                f"the pretrained backbone saw the channels {', '.join(pretrained.channels)}, this run reads "
                f"{', '.join(channels)}; set data.channels to the former, in that order"
            )
        return OmicsHeadsProfile(
            channels=channels,
            backbone=pretrained.encoder_config,
            aggregate=pretrained.aggregate,
            pool=pretrained.pool,
            l2_normalise=pretrained.l2_normalise,
            targets=tuple(TargetTable.read(dataset, name).measure(train_bags) for name in config.targets),
        )

    def start_from(self, pretrained: PretrainedBackbone) -> None:
        """Load the frozen weights.

        Raises:
            CheckpointError: they are not of the backbone in the profile.
        """
        facts = self.facts
        mine = (facts.backbone, facts.aggregate, facts.pool, facts.l2_normalise, facts.channels)
        theirs = (
            pretrained.encoder_config,
            pretrained.aggregate,
            pretrained.pool,
            pretrained.l2_normalise,
            pretrained.channels,
        )
        if mine != theirs:
            raise CheckpointError(f"these heads were planned for the backbone {mine}, the pretrained one is {theirs}")
        self.bag_encoder.load_state_dict(dict(pretrained.state))

    def train(self, mode: bool = True) -> OmicsHeads:
        """Set the heads' mode; the backbone stays in eval mode."""
        super().train(mode)
        self.bag_encoder.eval()
        return self

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Return ``targets``: float32 (B, P) measured values, columns as ``outputs``.

        NaN where a bag or gene is not measured; a dataset that lacks a whole target, or a gene of it, is all NaN there,
        so that images without omics can still be predicted.
        """
        parts = [aligned(dataset, facts) for facts in self.facts.targets]
        values = torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))
        return {"targets": LabelTable(per="bag", values=values)}

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return squared errors of z-scored genes, summed over measured (bag, gene) pairs."""
        batch = batch.without_padding()
        measured = batch.labels["targets"]
        known = torch.isfinite(measured)
        wanted = (torch.where(known, measured, self.mean) - self.mean) / self.sd
        errors = torch.where(known, self._scores(batch) - wanted, 0.0).square()
        widths = [len(target.genes) for target in self.facts.targets]
        split = zip(torch.split(errors.detach(), widths, 1), torch.split(known, widths, 1), strict=True)
        sums = [(error.sum(), count.sum().float()) for error, count in split]
        parts = {f"mse/{target.target}": part for target, part in zip(self.facts.targets, sums, strict=True)}
        return Losses(total=errors.sum(), count=known.sum().float(), parts=parts)

    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) -> (..., E), by the frozen backbone."""
        with torch.no_grad():
            return self.bag_encoder.embed_tiles(tiles)

    def embed_bags(self, embedded: torch.Tensor) -> torch.Tensor:
        """(K, N, E) -> (K, D), by the frozen backbone.

        Raises:
            RunError: cached embeddings of another width.
        """
        width = self.bag_encoder.embedded_width
        if embedded.shape[-1] != width:
            raise RunError(
                f"the cached tile embeddings are {embedded.shape[-1]} wide, the frozen backbone's are {width}; make "
                "them with 'wellstream embed' from the run that 'pretrained' names"
            )
        with torch.no_grad():
            return self.bag_encoder.pool(embedded)

    def predict(self, batch: Batch) -> torch.Tensor:
        """(K, P) in the units of the targets, from every head for every bag, also where a target does not apply."""
        return self._scores(batch) * self.sd + self.mean

    def outputs(self) -> list[Output]:
        """Return one column per gene, its facts in the target's units."""
        return [
            Output(target=facts.target, name=gene, train_mean=mean, train_sd=sd)
            for facts in self.facts.targets
            for gene, mean, sd in zip(facts.genes, facts.train_mean, facts.train_sd, strict=True)
        ]

    def _scores(self, batch: Batch) -> torch.Tensor:
        """(K, P) z-scores."""
        cached = batch.tiles.ndim == 3
        bags = self.embed_bags(batch.tiles if cached else self.embed_tiles(batch.tiles))
        bags = self.dropout(self.activation(bags))
        return at_least_float32(torch.cat([head(bags) for head in self.heads], dim=1))


def _joined(columns: Sequence[Sequence[float]]) -> torch.Tensor:
    return torch.tensor([value for column in columns for value in column], dtype=torch.float32)
