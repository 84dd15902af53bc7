"""What paired inpainting and its autoencoder share: channels by name, squared pixel errors, features of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from framework.config import StrictModel
from framework.data.batch import LabelTable
from framework.data.dataset import Dataset
from framework.errors import RunError, did_you_mean
from framework.models import (
    REDUCTION,
    AlexNetSourceConfig,
    BatchNormConstants,
    DecoderWidths,
    SourceChoice,
    SpatialPool,
    build_source,
    need_layers,
    pooled_layers,
)
from framework.models.inpainting import DECODER_WIDTHS
from framework.objectives.base import Embeds, Losses, ObjectiveConfig, at_least_float32
from framework.objectives.pretrained import PretrainedBackbone

_CELLS_PER_PASS = 256


class PaintingConfig(ObjectiveConfig):
    """Options that both objectives have."""

    backbone: SourceChoice = AlexNetSourceConfig()
    """The source encoder."""
    decoder_widths: DecoderWidths = DECODER_WIDTHS
    """Number of maps of the five layers of the decoder."""
    layer: str = "conv4"
    """Layer of the source encoder whose pooled output is a cell's embedding: conv4 was best for yeast, conv3 for human
    cells (Lu et al. 2019)."""
    pool: SpatialPool = "max"
    """How that layer is pooled over space."""
    norm: BatchNormConstants = BatchNormConstants()
    """Constants of batch normalisation. Default: those of the authors' code. ``{eps: 1.0e-5, momentum: 0.1}`` are
    torch's."""


class PaintingProfile(StrictModel):
    """Channel names in order."""

    channels: tuple[str, ...] = Field(min_length=1)


class Painting(Embeds):
    """Base class: an objective whose network has a ``source`` encoder and predicts pixels."""

    profile_type: ClassVar[type[StrictModel]] = PaintingProfile
    network: nn.Module

    def __init__(self, config: PaintingConfig, profile: PaintingProfile) -> None:
        super().__init__(config, profile)
        self.painting = config
        self.channels = profile.channels

    @classmethod
    def measure(
        cls,
        config: Any,
        dataset: Dataset,
        channels: tuple[str, ...],
        train_bags: npt.NDArray[np.int64],
        pretrained: PretrainedBackbone | None = None,
    ) -> PaintingProfile:
        """Check that tiles and named channels fit the network.

        Raises:
            RunError: a channel the run does not read, a layer the source encoder does not have, or tiles whose sides
                are not multiples of 4 px.
        """
        cls.need_channels(config, channels)
        tile = dataset.manifest.tile
        if tile.height % REDUCTION or tile.width % REDUCTION:
            raise RunError(
                f"{dataset.root}: tiles of {tile.height} x {tile.width} px; {config.name} needs sides that are "
                f"multiples of {REDUCTION} px: ingest with another tile size"
            )
        need_layers(build_source(config.backbone, len(channels)), (config.layer,))
        return PaintingProfile(channels=channels)

    @classmethod
    def need_channels(cls, config: Any, channels: tuple[str, ...]) -> None:
        """Check the channels that the config names. Raises RunError."""

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        """Nothing: the pixels are the labels."""
        return {}

    def feature_network(self) -> nn.Module:
        """Return the source encoder, whose layers are features."""
        source: nn.Module = self.network.get_submodule("source")
        return source

    def feature_options(self) -> StrictModel:
        """Return the options of the source encoder."""
        return self.painting.backbone

    def embedding_note(self) -> str:
        """Say which layer is pooled, and how."""
        return f"the {self.painting.pool} over space of layer {self.painting.layer}; a bag is the mean of its tiles"

    def feature_channels(self) -> tuple[str, ...]:
        """Return the channels that the source encoder is shown."""
        return self.channels

    def tile_network(self) -> nn.Module:
        """Return ``layer`` of the source encoder, pooled over space, as a module."""
        return _PooledLayer(self)

    def embed_tiles(self, tiles: torch.Tensor) -> torch.Tensor:
        """(..., C, H, W) -> (..., D), pooled output of ``layer``."""
        flat = tiles.reshape(-1, *tiles.shape[-3:])
        parts = torch.split(self.source_cells(flat), _CELLS_PER_PASS)
        layer, pool = self.painting.layer, self.painting.pool
        found = [pooled_layers(self.feature_network(), (layer,), part, pool)[layer] for part in parts]
        return torch.cat(found).reshape(*tiles.shape[:-3], -1)


class _PooledLayer(nn.Module):
    """The pooled output of one layer of a source encoder, all tiles at once."""

    def __init__(self, objective: Painting) -> None:
        super().__init__()
        self.network = objective.feature_network()
        self.layer, self.spatial = objective.painting.layer, objective.painting.pool
        shown, channels = objective.feature_channels(), objective.channels
        self.shown = places(shown, channels)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """(n, C, H, W) with all channels of the run -> (n, E)."""
        return pooled_layers(self.network, (self.layer,), taken(tiles, self.shown), self.spatial)[self.layer]


def need_known(names: Sequence[str], channels: Sequence[str], key: str) -> None:
    """Check that the run reads every channel of ``names``.

    Raises:
        RunError: one is missing.
    """
    lacking = [name for name in names if name not in channels]
    if lacking:
        raise RunError(
            f"{key}: channel {', '.join(map(repr, lacking))} is not among those of the run: {', '.join(channels)}"
            f"{did_you_mean(lacking, channels)}; see data.channels"
        )


def places(names: Sequence[str], channels: Sequence[str]) -> list[int]:
    """Return where ``names`` stand among ``channels``."""
    return [list(channels).index(name) for name in names]


def taken(cells: torch.Tensor, channels: list[int]) -> torch.Tensor:
    """Return (n, len(channels), H, W) of (n, C, H, W), contiguous in the memory format of the cells."""
    last = cells.shape[1] > 1 and cells.stride(1) == 1
    # By slices, because a list of places would be sent to the device at each call, which waits for it.
    parts = [cells[:, start:stop] for start, stop in _stretches(channels)]
    some = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    return some.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _stretches(channels: list[int]) -> list[tuple[int, int]]:
    """Return the stretches (start, stop) of neighbours that channels are made of, in their order."""
    cuts = [at for at in range(1, len(channels)) if channels[at] != channels[at - 1] + 1]
    return [(channels[a], channels[b - 1] + 1) for a, b in pairwise([0, *cuts, len(channels)])]


def pixel_losses(predicted: torch.Tensor, truth: torch.Tensor, channels: Sequence[str]) -> Losses:
    """Return squared errors over all pixels.

    Args:
        predicted: (n, P, H, W), n >= 0.
        truth: (n, P, H, W).
        channels: names of the P channels, for the log.
    """
    errors = (at_least_float32(predicted) - truth).square()
    pixels = len(truth) * truth.shape[-1] * truth.shape[-2]
    # float32 counts no further than 2**24 pixels one by one.
    each = torch.full((), float(pixels), dtype=torch.float64, device=truth.device)
    sums = errors.detach().sum(dim=(0, 2, 3))
    parts = {f"mse/{channel}": (sums[place], each) for place, channel in enumerate(channels)}
    return Losses(total=errors.sum(), count=each * len(channels), parts=parts)
