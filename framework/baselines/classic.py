"""``classic``: shape of the object in the middle of a tile, intensity in it, texture; what CellProfiler would say."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, Floats
from framework.baselines.rows import Rows
from framework.features.regions import region_names, regions
from framework.look.stains import nucleus_channel


class ClassicConfig(BaselineConfig):
    """Options of ``classic``."""

    name: Literal["classic"] = "classic"
    scale_px: int = Field(default=3, ge=1)
    """Distance of the pixel pairs of the textures."""


@BASELINES.register("classic", ClassicConfig)
class Classic(Baseline):
    """See the module."""

    says = "shape, intensity and texture (regionprops, Haralick)"

    def features(self, rows: Rows) -> Floats:
        """Return 11 + 21 C features; the object is found in the channel of nuclei, by its name, else in the first."""
        channels = rows.seen_channels
        outline = nucleus_channel(channels) or 0
        scales = (min(self.options.scale_px, min(rows.dataset.manifest.tile.shape[1:]) - 1),)
        parts = [regions(tiles[:, outline], tiles, scales_px=scales) for tiles in rows.pixels()]
        width = len(region_names("outline", channels, scales))
        return rows.averaged(np.concatenate([np.empty((0, width)), *parts]))
