"""What one run hands to another that builds on it: how to make its bag encoder, and the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from framework.config import StrictModel
from framework.errors import RunError
from framework.models import Aggregate, BagEncoder, PoolOptions, build_backbone


@dataclass(frozen=True, kw_only=True)
class PretrainedBackbone:
    """What one run hands to another: how to build its bag encoder, and the weights.

    Attributes:
        encoder_config: options of the backbone.
        aggregate: order of averaging and dense layers.
        pool: options of what pools the tiles.
        l2_normalise: whether the bag embedding is scaled to length 1.
        channels: names of the channels it saw, in order.
        state: state dict of the ``BagEncoder``, on the CPU.
    """

    encoder_config: StrictModel
    aggregate: Aggregate
    pool: PoolOptions
    l2_normalise: bool
    channels: tuple[str, ...]
    state: Mapping[str, torch.Tensor]

    @property
    def in_channels(self) -> int:
        """How many channels it saw."""
        return len(self.channels)

    def need_channels(self, channels: tuple[str, ...]) -> None:
        """Refuse a run that reads other channels than this backbone was trained on.

        Raises:
            RunError: names both.
        """
        if self.channels != channels:
            raise RunError(
                f"the pretrained backbone was trained on the channels {', '.join(self.channels)}, but this "
                f"run reads {', '.join(channels)}; set data.channels to the channels of the backbone, in the "
                "same order"
            )

    def build(self) -> BagEncoder:
        """Return the bag encoder with these weights.

        Raises:
            RuntimeError: the weights are not of that backbone.
        """
        encoder = BagEncoder(
            build_backbone(self.encoder_config, self.in_channels),
            aggregate=self.aggregate,
            l2_normalise=self.l2_normalise,
            pool=self.pool,
        )
        encoder.load_state_dict(dict(self.state))
        return encoder
