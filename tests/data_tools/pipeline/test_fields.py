"""Room for the fields of a well: in memory, or in a file without a name; tiles come out of either alike."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from data_tools.pipeline import fields
from data_tools.pipeline.fields import cut_tiles, open_fields
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
        tiles.append(cut_tiles(room, np.array([2, 0]), *centres, 4, 1))
    np.testing.assert_array_equal(tiles[0], tiles[1])
    np.testing.assert_array_equal(tiles[1][0, 0], made[2, 0, 4:8, 2:6])
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_met_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fields, "_IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DatasetError, match=r"[Nn]o space"):
        open_fields(3, SHAPE, "uint16", tmp_path)
    assert os.listdir(tmp_path) == []
