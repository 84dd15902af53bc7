"""The autoencoder that paired inpainting is compared with: the same encoder and decoder, each cell painted by itself.

Source: Lu et al. 2019, "using our source cell encoder and decoder architecture".
"""

from __future__ import annotations

from typing import Literal

from framework.data.batch import Batch
from framework.models import AutoencoderNet
from framework.objectives.base import OBJECTIVES, Gather, Losses
from framework.objectives.painting import Painting, PaintingConfig, PaintingProfile, pixel_losses, taken


class AutoencoderConfig(PaintingConfig):
    """Options of ``autoencoder``."""

    name: Literal["autoencoder"] = "autoencoder"


@OBJECTIVES.register("autoencoder", AutoencoderConfig)
class Autoencoder(Painting):
    """Mean squared error of all channels of every tile of the rows."""

    def __init__(self, config: AutoencoderConfig, profile: PaintingProfile) -> None:
        super().__init__(config, profile)
        self.network = AutoencoderNet(
            config.backbone, len(profile.channels), decoder_widths=config.decoder_widths, norm=config.norm
        )

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return squared errors of the tiles (K, N, C, H, W) of any plan."""
        tiles = batch.without_padding().tiles
        cells = taken(tiles.flatten(0, 1), list(range(len(self.channels))))
        return pixel_losses(self.network(cells), cells, self.channels)
