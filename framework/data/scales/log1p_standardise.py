"""``log1p_standardise``: log(1 + x), then by mean and sd of log(1 + x) over up to 2,000 training tiles."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from framework.data.permutation import I64, hash_u64, permute
from framework.data.scales.base import SCALES, Scale, ScaleConfig, plane
from framework.data.store import TileStore
from framework.errors import RunError

_SAMPLE = 2000
_BLOCK = 100


class Log1pStandardiseConfig(ScaleConfig):
    """``data.scale: log1p_standardise``."""

    name: Literal["log1p_standardise"] = "log1p_standardise"


@SCALES.register("log1p_standardise", Log1pStandardiseConfig)
class Log1pStandardise(Scale):
    """See the module."""

    needs = ("mean", "sd")

    @classmethod
    def measure(cls, options: Log1pStandardiseConfig, store: TileStore, tile_ids: I64, seed: int) -> dict[str, Any]:
        """See ``Scale``."""
        mean, sd = _log1p_moments(store, tile_ids, seed)
        return {"mean": mean, "sd": sd}

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """See ``Scale``."""
        return x.log1p_().sub_(plane(self.profile.mean, x)).div_(plane(self.profile.sd, x))


def _log1p_moments(store: TileStore, tile_ids: I64, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not len(tile_ids):
        raise RunError("scale 'log1p_standardise': the training part has no tiles to measure")
    count = min(_SAMPLE, len(tile_ids))
    chosen = np.sort(tile_ids[permute(np.arange(count), len(tile_ids), hash_u64(seed, _SAMPLE))])
    # Blocks bound the memory; their means and squared deviations merge without losing digits (Chan et al. 1979).
    total, mean, squares = 0.0, np.zeros(len(store.channels)), np.zeros(len(store.channels))
    for first in range(0, count, _BLOCK):
        ids = chosen[first : first + _BLOCK]
        tiles = np.empty((len(ids), *store.sample_shape), dtype=store.dtype)
        store.gather(ids, tiles)
        values = np.log1p(tiles.astype(np.float64)).transpose(1, 0, 2, 3).reshape(len(mean), -1)
        block, pixels = values.mean(axis=1), values.shape[1]
        squares += ((values - block[:, None]) ** 2).sum(axis=1) + (block - mean) ** 2 * total * pixels / (
            total + pixels
        )
        mean += (block - mean) * pixels / (total + pixels)
        total += pixels
    sd = np.sqrt(squares / total)
    return tuple(mean.tolist()), tuple(np.where(sd > 0, sd, 1.0).tolist())
