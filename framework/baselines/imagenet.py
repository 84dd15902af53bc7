"""``imagenet``: a network that learned photographs and never saw a cell (Tan and Le 2019)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, BaselineMissing, Floats
from framework.baselines.rows import FOR_NETWORKS, Rows
from framework.data.loading.transform import scale
from framework.data.scales import ImageNetConfig, ScaleProfile
from framework.data.store import TileStore
from framework.errors import CheckpointError
from framework.models import EfficientNetLite0Config, build_backbone, take_weights


class ImageNetBaselineConfig(BaselineConfig):
    """Options of ``imagenet``."""

    name: Literal["imagenet"] = "imagenet"
    resize_px: int = Field(default=128, ge=32)
    """Edge that tiles are shown in."""


@BASELINES.register("imagenet", ImageNetBaselineConfig)
class ImageNet(Baseline):
    """See the module."""

    says = "a network of ImageNet (EfficientNet-Lite0)"

    def features(self, rows: Rows) -> Floats:
        """Return the 1280 numbers of each channel, which is shown alone, (n, 1280 C)."""
        options = EfficientNetLite0Config(weights="imagenet", resize_px=self.options.resize_px)
        network = build_backbone(options, 1).eval()
        try:
            take_weights(network, options, ("grey",))
        except CheckpointError as error:
            raise BaselineMissing(str(error)) from None
        # A third less time on a CPU.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        store = TileStore(rows.dataset, rows.channels)
        profile = ScaleProfile.fit(ImageNetConfig(), store, rows.tiles)
        parts = []
        for tiles in rows.pixels(FOR_NETWORKS):
            shown = scale(torch.from_numpy(tiles), profile)
            with torch.inference_mode():
                each = [network(shown[:, [channel]]).numpy() for channel in range(shown.shape[1])]
            parts.append(np.concatenate(each, axis=1).astype(np.float64))
        return rows.averaged(np.concatenate([np.empty((0, 1280 * len(rows.seen_channels))), *parts]))
