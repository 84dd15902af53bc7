"""Augmentations of stored and of scaled pixels, in a loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from fixtures.own_entries import reopened
from fixtures.tiny_dataset import make_dataset

from framework.data.augmentations import AUGMENTATIONS, AugmentConfig
from framework.data.loading.loader import Loader
from framework.data.plan import TilesConfig, plan_over
from framework.data.scales import ScaleProfile
from framework.data.store import TileStore


class BrighterConfig(AugmentConfig):
    after_scale: ClassVar[bool] = True
    name: Literal["brighter"] = "brighter"


class NumberedConfig(AugmentConfig):
    name: Literal["numbered"] = "numbered"


@pytest.mark.parametrize("channels_last", [False, True])
def test_stored_pixels_are_changed_before_scaling_and_scaled_ones_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels_last: bool
) -> None:
    reopened(monkeypatch, AUGMENTATIONS)
    positions: list[list[int]] = []

    @AUGMENTATIONS.register("brighter", BrighterConfig)
    def brighter(tiles: torch.Tensor, at: np.ndarray, key: int, options: BrighterConfig) -> torch.Tensor:
        return tiles + torch.from_numpy(at).float()[:, None, None, None]

    @AUGMENTATIONS.register("numbered", NumberedConfig)
    def numbered(tiles: torch.Tensor, at: np.ndarray, key: int, options: NumberedConfig) -> torch.Tensor:
        positions.append(at.tolist())
        assert tiles.dtype == torch.uint16
        return tiles

    dataset = make_dataset(tmp_path / "data")
    plan = plan_over(TilesConfig(tiles=4), dataset, np.arange(len(dataset.bags)), 0)
    scale = ScaleProfile.fit("per_tile_standardise", TileStore(dataset), np.arange(4))
    options: dict[str, Any] = {"scale": scale, "world_size": 2, "rank": 1, "channels_last": channels_last}
    (plain,) = Loader(TileStore(dataset), plan, **options).batches(0, 1)
    changes = (BrighterConfig(), NumberedConfig())
    (changed,) = Loader(TileStore(dataset), plan, **options, augment=changes).batches(0, 1)
    assert positions == [[2, 3]]
    added = torch.tensor([2.0, 3.0])[:, None, None, None, None]
    torch.testing.assert_close(changed.tiles, plain.tiles + added, atol=0, rtol=0)
