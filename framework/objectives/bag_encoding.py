"""What the objectives with a bag encoder share: embedding tiles, layers to name, a backbone to build on."""

from __future__ import annotations

import torch
from torch import nn

from framework.config import StrictModel
from framework.models import BagEncoder, NetworkOptions
from framework.objectives.base import Embeds, ObjectiveConfig
from framework.objectives.pretrained import PretrainedBackbone


class EncodesBags(Embeds):
    """Base class: an objective whose network begins with a ``BagEncoder``.

    Args:
        config: config of the objective.
        profile: profile of the objective.
        encoder: the bag encoder.
        backbone: options its backbone was built from.
        channels: names of the channels it sees, in order.
    """

    def __init__(
        self,
        config: ObjectiveConfig,
        profile: StrictModel,
        *,
        encoder: BagEncoder,
        backbone: StrictModel,
        channels: tuple[str, ...],
    ) -> None:
        super().__init__(config, profile)
        self.bag_encoder = encoder
        self.backbone = backbone
        self.channels = channels

    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) -> (..., E), the vectors that are averaged: E = D, or the trunk's T for ``backbone``."""
        return self.bag_encoder.embed_tiles(tiles)

    def tile_shares(self, embedded: torch.Tensor) -> torch.Tensor | None:
        """(K, N, E) -> (K, N), the attention of the pool; None for a mean."""
        pool = self.bag_encoder.attention
        return pool.shares(embedded) if pool.learns else None

    def feature_network(self) -> nn.Module:
        """Return the backbone: its trunk and its dense layers."""
        return self.bag_encoder.encoder

    def feature_options(self) -> StrictModel:
        """Return the options of the backbone."""
        return self.backbone

    def embedding_note(self) -> str:
        """Say where in the network tiles are pooled."""
        encoder = self.bag_encoder
        how = encoder.attention.said
        if encoder.aggregate == "tile_embedding":
            return f"the output of the dense layers; a bag is the {how} of its tiles"
        return f"the output of the trunk; a bag is the {how} of its tiles, through the dense layers"

    def feature_channels(self) -> tuple[str, ...]:
        """Return the channels of the run."""
        return self.channels

    def tile_network(self) -> nn.Module:
        """Return the backbone, or its trunk alone where tiles are averaged before the dense layers."""
        encoder = self.bag_encoder
        return encoder.encoder if encoder.aggregate == "tile_embedding" else encoder.encoder.trunk

    def backbone_facts(self) -> PretrainedBackbone:
        """Return the bag encoder, weights copied to the CPU."""
        encoder, options = self.bag_encoder, self.backbone
        return PretrainedBackbone(
            encoder_config=options.without_weights() if isinstance(options, NetworkOptions) else options,
            aggregate=encoder.aggregate,
            pool=encoder.pool_options,
            l2_normalise=encoder.l2_normalise,
            channels=self.channels,
            state={name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()},
        )
