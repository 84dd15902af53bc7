"""Paired cell inpainting: paint the protein of a target cell, given its structure and a source cell of the same bag.

Both cells show the same protein, so the source encoder must learn where in the cell the protein lies. Source: Lu et al.
2019.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator

from framework.config import UniqueNames
from framework.data.batch import Batch
from framework.errors import RunError
from framework.models import InpaintingNet
from framework.models.inpainting import MARKER_WIDTHS
from framework.objectives.base import OBJECTIVES, Gather, Losses, Paints
from framework.objectives.painting import (
    Painting,
    PaintingConfig,
    PaintingProfile,
    need_known,
    pixel_losses,
    places,
    taken,
)


class PairedInpaintingConfig(PaintingConfig):
    """Options of ``paired_inpainting``."""

    requires_plan: ClassVar[str | None] = "pairs"

    name: Literal["paired_inpainting"] = "paired_inpainting"
    structure: UniqueNames = Field(min_length=1)
    """Channels of the target cell that are given: markers that look alike in all images."""
    protein: UniqueNames = Field(min_length=1)
    """Channels of the target cell that are predicted. Each image may show another protein in them."""
    source: UniqueNames | None = Field(default=None, min_length=1)
    """Channels of the source cell that the network sees; default: all channels of the run."""
    marker_widths: tuple[int, int, int] = MARKER_WIDTHS
    """Number of maps of the layers of the target-marker encoder."""

    @model_validator(mode="after")
    def _nothing_is_given_away(self) -> PairedInpaintingConfig:
        both = [name for name in self.structure if name in self.protein]
        if both:
            raise ValueError(
                f"'{both[0]}' is named under structure and under protein; keep it under one: structure channels "
                "are given, protein channels are predicted"
            )
        return self


@OBJECTIVES.register("paired_inpainting", PairedInpaintingConfig)
class PairedInpainting(Painting, Paints):
    """Mean squared error of the painted pixels; rows of the plan are (source, target)."""

    def __init__(self, config: PairedInpaintingConfig, profile: PaintingProfile) -> None:
        super().__init__(config, profile)
        self.options = config
        self._source = places(config.source or profile.channels, profile.channels)
        self._structure = places(config.structure, profile.channels)
        self._protein = places(config.protein, profile.channels)
        self.network = InpaintingNet(
            config.backbone,
            len(self._source),
            len(self._structure),
            len(self._protein),
            marker_widths=config.marker_widths,
            decoder_widths=config.decoder_widths,
            norm=config.norm,
        )

    @classmethod
    def need_channels(cls, config: Any, channels: tuple[str, ...]) -> None:
        """Check that the run reads the named channels. Raises RunError."""
        for key in ("structure", "protein", "source"):
            need_known(getattr(config, key) or (), channels, f"objective.{key}")

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        """Return squared errors of the targets' protein channels.

        Raises:
            RunError: rows that are not pairs.
        """
        if batch.tiles.shape[1] != 2:
            raise RunError(
                f"paired_inpainting needs rows of a source and a target cell, found {batch.tiles.shape[1]} tile(s) per "
                "row; use plan: {name: pairs}"
            )
        source, target = batch.without_padding().tiles.unbind(dim=1)
        painted = self.inpaint(source, target)
        return pixel_losses(painted, self.truth(target), self.painted)

    @property
    def given(self) -> tuple[str, ...]:
        """The structure channels."""
        return self.options.structure

    @property
    def painted(self) -> tuple[str, ...]:
        """The protein channels."""
        return self.options.protein

    def inpaint(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Paint targets after sources, both (n, C, H, W) with all channels of the run -> (n, P, H, W).

        Of the targets only the structure channels are read.
        """
        painted: torch.Tensor = self.network(self.source_cells(source), self.structures(target))
        return painted

    def feature_channels(self) -> tuple[str, ...]:
        """Return the source channels."""
        return self.options.source or self.channels

    def source_cells(self, cells: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> the source channels."""
        return taken(cells, self._source)

    def structures(self, cells: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> the structure channels (n, S, H, W)."""
        return taken(cells, self._structure)

    def truth(self, cells: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) -> the protein channels (n, P, H, W)."""
        return taken(cells, self._protein)
