"""What the objectives with a bag encoder share: embedding tiles, layers to name, a backbone to build on."""

from __future__ import annotations

import torch
from torch import nn

from framework.config import StrictModel
from framework.models import BagEncoder
from framework.objectives.base import Embeds, ObjectiveConfig
from framework.objectives.pretrained import PretrainedBackbone


class EncodesBags(Embeds):
    """Base class: an objective whose network begins with a ``BagEncoder``.

    Args:
        config: of the objective.
        profile: of the objective.
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

    def feature_network(self) -> nn.Module:
        """Return the backbone: its trunk and its dense layers."""
        return self.bag_encoder.encoder

    def backbone_facts(self) -> PretrainedBackbone:
        """Return the bag encoder, weights copied to the CPU."""
        encoder = self.bag_encoder
        return PretrainedBackbone(
            encoder_config=self.backbone,
            aggregate=encoder.aggregate,
            pool="mean" if encoder.attention is None else "attention",
            l2_normalise=encoder.l2_normalise,
            channels=self.channels,
            state={name: value.detach().cpu().clone() for name, value in encoder.state_dict().items()},
        )
