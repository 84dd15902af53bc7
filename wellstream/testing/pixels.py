"""Contracts of scales and augmentations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from framework.data.augmentations import AUGMENTATIONS
from framework.data.loading.transform import scale
from framework.data.scales import SCALES, ScaleProfile, read_profile
from framework.data.store import TileStore
from wellstream.testing.entry import EntryContract


class ScaleContract(EntryContract):
    """Tests of a scale; a subclass sets ``plain`` and has a fixture ``store``, tiles of a small dataset."""

    registry = SCALES

    @pytest.fixture
    def profile(self, options: Any, store: TileStore) -> ScaleProfile:
        """The scale, fitted to all tiles."""
        return ScaleProfile.fit(options, store, np.arange(len(store)))

    @pytest.fixture
    def tiles(self, store: TileStore) -> torch.Tensor:
        """The first stored tiles, (n, C, H, W)."""
        tiles = np.empty((min(len(store), 6), *store.sample_shape), dtype=store.dtype)
        store.gather(np.arange(len(tiles)), tiles)
        return torch.from_numpy(tiles)

    def test_a_profile_is_read_as_it_is_kept(self, profile: ScaleProfile) -> None:
        """Prediction scales as training did."""
        again = read_profile(profile.plain())
        assert again == profile
        assert type(again) is self.entry(profile).build.profile_type

    def test_pixels_become_finite_float32_and_stored_ones_stay(
        self, profile: ScaleProfile, tiles: torch.Tensor
    ) -> None:
        """Of the same shape, also where the caller says where to put them."""
        before = tiles.clone()
        scaled = scale(tiles, profile)
        assert scaled.dtype == torch.float32
        assert scaled.shape == tiles.shape
        assert torch.isfinite(scaled).all()
        torch.testing.assert_close(scale(tiles, profile, torch.empty(tiles.shape)), scaled, rtol=0, atol=0)
        assert torch.equal(tiles.view(torch.uint8), before.view(torch.uint8))
        if self.entry(profile).config.gives_unit:
            assert scaled.min() >= 0
            assert scaled.max() <= 1

    def test_a_tile_does_not_depend_on_its_batch(self, profile: ScaleProfile, tiles: torch.Tensor) -> None:
        """Else results would depend on how a batch is cut over ranks."""
        torch.testing.assert_close(scale(tiles, profile)[2:3], scale(tiles[2:3], profile), rtol=1e-6, atol=1e-6)

    def test_a_flat_tile_stays_finite(self, profile: ScaleProfile, tiles: torch.Tensor) -> None:
        """Black tiles are met."""
        assert torch.isfinite(scale(torch.zeros_like(tiles), profile)).all()


class AugmentationContract(EntryContract):
    """Tests of an augmentation; a subclass sets ``plain``."""

    registry = AUGMENTATIONS

    @pytest.fixture
    def tiles(self, options: Any) -> torch.Tensor:
        """12 different tiles, (12, C, H, W), stored or scaled as the augmentation takes them."""
        values = torch.randn(12, 2, 8, 8, generator=torch.Generator().manual_seed(0))
        return values if options.after_scale else (values * 1000 + 5000).to(torch.int32).to(torch.uint16)

    def changed(self, tiles: torch.Tensor, positions: Any, key: int, options: Any) -> torch.Tensor:
        """Return tiles (n, C, H, W) as the augmentation changes them."""
        result: torch.Tensor = self.entry(options).build(tiles, positions, key, options)
        return result

    def test_shape_and_type_stay_and_so_do_the_tiles_given(self, options: Any, tiles: torch.Tensor) -> None:
        """The tiles given serve others too."""
        before = tiles.clone()
        found = self.changed(tiles, np.arange(12), 7, options)
        assert found.shape == tiles.shape
        assert found.dtype == tiles.dtype
        assert torch.equal(tiles.view(torch.uint8), before.view(torch.uint8))

    def test_a_tile_depends_on_key_and_position_alone(self, options: Any, tiles: torch.Tensor) -> None:
        """So every world size sees the same pixels, and a resumed run sees those it would have seen."""
        whole = self.changed(tiles, np.arange(12), 7, options)
        parts = [self.changed(tiles[i : i + 4], np.arange(i, i + 4), 7, options) for i in (0, 4, 8)]
        assert torch.equal(torch.cat(parts).view(torch.uint8), whole.view(torch.uint8))
        assert torch.equal(self.changed(tiles, np.arange(12), 7, options).view(torch.uint8), whole.view(torch.uint8))

    def test_steps_differ(self, options: Any, tiles: torch.Tensor) -> None:
        """Else every epoch would show the same pixels."""
        one, two = (self.changed(tiles, np.arange(12), key, options).view(torch.uint8) for key in (7, 8))
        assert not torch.equal(one, two)
