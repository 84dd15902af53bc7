"""Room for the fields of a well: in memory, or in a file without a name; tiles come out of either alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from data_tools.pipeline.build.parts import PixelCounts
from data_tools.pipeline.plates import fields
from data_tools.pipeline.plates.fields import cut_tiles, open_fields
from framework.errors import DatasetError

SHAPE = (2, 12, 10)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_mapped_file_serves_as_memory_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    made = np.random.default_rng(0).integers(0, 200, size=(3, *SHAPE)).astype(dtype)
    tiles = []
    for limit in (1 << 28, 0):
        monkeypatch.setattr(fields, "_IN_MEMORY", limit)
        room = open_fields(3, SHAPE, dtype, tmp_path)
        assert (room.shape, room.dtype) == ((3, *SHAPE), np.dtype(dtype))
        assert (room.base is None) == (limit > 0)
        room[...] = made
        centres = np.array([6, 5], np.float32), np.array([4, 5], np.float32)
        counts = PixelCounts.empty(1, dtype == "float32")
        tiles.append(cut_tiles(room, np.array([2, 0]), *centres, 4, counts))
        assert counts.counts.sum() == 2 * 4 * 4
    np.testing.assert_array_equal(tiles[0], tiles[1])
    np.testing.assert_array_equal(tiles[1][0, 0], made[2, 0, 4:8, 2:6])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8])
def test_tiles_are_cut_and_counted_as_numpy_does(dtype: str, size: int) -> None:
    random = np.random.default_rng(size)
    made = random.integers(0, 250 if dtype == "uint8" else 65_536, size=(3, *SHAPE)).astype(dtype)
    field = random.integers(0, 3, 20)
    top, left = random.integers(0, 12 - size + 1, 20), random.integers(0, 10 - size + 1, 20)
    centres = (top + size // 2).astype(np.float32), (left + size // 2).astype(np.float32)
    for channels in (1, 2):
        counts, expected = (PixelCounts.empty(channels, dtype == "float32") for _ in range(2))
        tiles = cut_tiles(made, field, *centres, size, counts)
        for tile, at, y, x in zip(tiles, field, top, left, strict=True):
            np.testing.assert_array_equal(tile, made[at, :channels, y : y + size, x : x + size])
        expected.add(tiles)
        np.testing.assert_array_equal(counts.counts, expected.counts)


@pytest.mark.parametrize(("field", "y", "x"), [(3, 6, 5), (-1, 6, 5), (0, 1, 5), (0, 11, 5), (0, 6, 1), (0, 6, 9)])
def test_a_tile_outside_its_field_is_refused(field: int, y: int, x: int) -> None:
    centres = np.array([y], np.float32), np.array([x], np.float32)
    with pytest.raises(ValueError, match="outside fields"):
        cut_tiles(np.zeros((3, *SHAPE), np.uint16), np.array([field]), *centres, 4, PixelCounts.empty(1, False))


def test_a_full_disk_is_met_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fields, "_IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DatasetError, match=r"[Nn]o space"):
        open_fields(3, SHAPE, "uint16", tmp_path)
    assert os.listdir(tmp_path) == []
