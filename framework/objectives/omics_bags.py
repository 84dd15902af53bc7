"""Backbone, pool and heads trained together, from tiles to omics targets: from scratch or from pretraining.

``omics_heads`` learns linear maps of a fixed embedding. This objective also trains the embedding, and it can learn how
much each tile of a bag counts. Large bags pass through the network in chunks (gradient caching); the gradients are
those of the whole bag.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from framework.config import StrictModel, choice
from framework.data.dataset import Dataset
from framework.errors import CheckpointError
from framework.models import (
    BACKBONES,
    Aggregate,
    BackboneChoice,
    BagEncoder,
    MeanPoolConfig,
    NetworkOptions,
    PoolChoice,
    ResNet18Config,
    build_backbone,
)
from framework.objectives.base import OBJECTIVES
from framework.objectives.omics_targets import ProfileOfTargets, TargetTable
from framework.objectives.predicting_targets import PredictsTargets, TargetsConfig
from framework.objectives.pretrained import PretrainedBackbone

log = logging.getLogger(__name__)
_POOL = "attention."


class OmicsBagsConfig(TargetsConfig):
    """Options of ``omics_bags``. If ``pretrained`` names a run, training starts from its backbone."""

    name: Literal["omics_bags"] = "omics_bags"
    pool: PoolChoice = MeanPoolConfig()
    """How the tiles of a bag become one vector: ``mean``, ``gated_attention`` or ``set_attention``. A pool with the
    same options as in ``pretrained`` starts with its weights; another pool starts anew."""
    aggregate: Aggregate | None = None
    """``tile_embedding`` pools after the dense layers, ``backbone`` before them. Default: the same as ``pretrained``,
    or ``tile_embedding``."""
    gradient_cache: int | None = Field(default=None, ge=1)
    """Tiles per chunk. Memory holds the activations of at most this many tiles, at the cost of a second forward pass.
    The gradients stay the same, except with batch normalisation in train mode, which then uses the statistics of each
    chunk."""
    backbone: choice(BACKBONES, optional=True) = None  # type: ignore[valid-type]
    """The network to train; default: that of ``pretrained``, or ``resnet18``. It may begin with ``weights``."""

    @property
    def splits_rows(self) -> bool:
        """Whether ``gradient_cache`` is set."""
        return self.gradient_cache is not None

    @model_validator(mode="after")
    def _one_backbone(self) -> Self:
        if self.pretrained is not None and self.backbone is not None:
            raise ValueError("'pretrained' already says which backbone is used; leave out 'backbone', or 'pretrained'")
        return self


class OmicsBagsProfile(ProfileOfTargets):
    """The network and the facts of each target."""

    channels: tuple[str, ...]
    backbone: BackboneChoice
    aggregate: Aggregate
    l2_normalise: bool


@OBJECTIVES.register("omics_bags", OmicsBagsConfig)
class OmicsBags(PredictsTargets):
    """Bag encoder with a chosen pool, then a linear head per target; everything learns."""

    profile_type: ClassVar[type[StrictModel]] = OmicsBagsProfile

    def __init__(self, config: OmicsBagsConfig, profile: OmicsBagsProfile) -> None:
        encoder = BagEncoder(
            build_backbone(profile.backbone, len(profile.channels)),
            aggregate=profile.aggregate,
            l2_normalise=profile.l2_normalise,
            pool=config.pool,
            tile_chunk=config.gradient_cache,
        )
        super().__init__(
            config,
            profile,
            encoder=encoder,
            backbone=profile.backbone,
            channels=profile.channels,
            targets=profile.targets,
        )
        self.facts = profile

    @classmethod
    def need_names(cls, config: OmicsBagsConfig, dataset: Dataset) -> None:
        """Refuse targets that the dataset lacks. Raises DatasetError."""
        dataset.need_targets(config.targets)

    @classmethod
    def measure(
        cls,
        config: OmicsBagsConfig,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> OmicsBagsProfile:
        """Choose the network and measure every gene on the training bags, (n,).

        Raises:
            RunError: a pretrained backbone of other channels, or a target without a measured training bag.
            DatasetError: a target the dataset does not have.
        """
        if pretrained is not None:
            pretrained.need_channels(channels)
        backbone = config.backbone or ResNet18Config() if pretrained is None else pretrained.encoder_config
        return OmicsBagsProfile(
            channels=channels,
            backbone=backbone.without_weights() if isinstance(backbone, NetworkOptions) else backbone,
            aggregate=config.aggregate or (pretrained.aggregate if pretrained else "tile_embedding"),
            l2_normalise=pretrained is not None and pretrained.l2_normalise,
            targets=tuple(TargetTable.read(dataset, name).measure(train_bags) for name in config.targets),
        )

    def start_from(self, pretrained: PretrainedBackbone) -> None:
        """Take over the backbone, and the pool where it has the same options.

        Raises:
            CheckpointError: they are not of the backbone in the profile.
        """
        mine, theirs = (self.facts.backbone, self.facts.channels), (pretrained.encoder_config, pretrained.channels)
        if mine != theirs:
            raise CheckpointError(f"this run was made for the backbone {mine}, but the pretrained run has {theirs}")
        own, state = self.bag_encoder.state_dict(), pretrained.state
        fits = pretrained.pool == self.bag_encoder.pool_options and _pool_of(state) == _pool_of(own)
        taken = {name: value for name, value in state.items() if fits or not name.startswith(_POOL)}
        self.bag_encoder.load_state_dict({**own, **taken})
        if self.bag_encoder.attention.learns:
            log.info("the pool of tiles %s", "is the pretrained one" if fits else "begins anew")

    def embed_bags(self, embedded: torch.Tensor) -> torch.Tensor:
        """(K, N, E) -> (K, D)."""
        return self.bag_encoder.pool(embedded)


def _pool_of(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    """Return the shapes of the weights of a pool."""
    return {name: value.shape for name, value in state.items() if name.startswith(_POOL)}
