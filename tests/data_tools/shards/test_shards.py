"""Shards are plain tarballs: tarfile and webdataset must read what arithmetic wrote."""

from __future__ import annotations

import io
import json
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset as wds
from blake3 import blake3

from data_tools.shards import ShardWriter, ZarrShardWriter, random_order, ustar_header
from framework.errors import InputError


def _write(path: Path) -> tuple[list[np.ndarray], list[np.ndarray], str, ShardWriter]:
    rng = np.random.default_rng(0)
    chunks = [rng.integers(0, 65535, (n, 2, 5, 7), dtype=np.uint16) for n in (3, 1)]
    with path.open("wb") as file:
        writer = ShardWriter(file)
        offsets = [
            writer.add(f"p_A01_{i:05d}", len(chunk), np.array_split(chunk, 2), {"bag": 4, "n": len(chunk)})
            for i, chunk in enumerate(chunks)
        ]
        digest = writer.finish()
    return chunks, offsets, digest, writer


def test_offsets_digest_and_size_are_those_of_the_file(tmp_path: Path) -> None:
    chunks, offsets, digest, writer = _write(tmp_path / "s.tar")
    raw = (tmp_path / "s.tar").read_bytes()
    assert (len(raw), blake3(raw).hexdigest(), writer.tiles) == (writer.nbytes, digest, 4)
    for chunk, starts in zip(chunks, offsets, strict=True):
        for tile, start in zip(chunk, starts, strict=True):
            assert raw[start : start + tile.nbytes] == tile.tobytes()


@pytest.mark.parametrize("kind", [ShardWriter, partial(ZarrShardWriter, codec=None)])
@pytest.mark.parametrize("came", [0, 2, 4])
def test_another_number_of_tiles_than_announced_is_an_error(kind: Any, came: int) -> None:
    tiles = np.zeros((came, 1, 2, 2), np.uint16)
    with pytest.raises(ValueError, match=r"announced|zip\(\)"):
        kind(io.BytesIO()).add("k", 3, iter(tiles[:, None]), {"bag": 0})


def test_header_is_what_tarfile_writes() -> None:
    info = tarfile.TarInfo("p_A01_00000.npy")
    info.size, info.mode, info.mtime = 12345, 0o644, 0
    expected = info.tobuf(format=tarfile.USTAR_FORMAT)
    assert ustar_header("p_A01_00000.npy", 12345) == expected


def test_tarfile_and_webdataset_read_the_same_pixels(tmp_path: Path) -> None:
    chunks, _, _, _ = _write(tmp_path / "s.tar")
    with tarfile.open(tmp_path / "s.tar") as tar:
        assert tar.getnames() == ["p_A01_00000.npy", "p_A01_00000.json", "p_A01_00001.npy", "p_A01_00001.json"]
        member = tar.extractfile("p_A01_00001.npy")
        assert member is not None
        np.testing.assert_array_equal(np.load(io.BytesIO(member.read()), allow_pickle=False), chunks[1])
    samples = list(wds.WebDataset([str(tmp_path / "s.tar")], shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["p_A01_00000", "p_A01_00001"]
    assert json.loads(samples[0]["json"]) == {"bag": 4, "n": 3}
    for sample, chunk in zip(samples, chunks, strict=True):
        np.testing.assert_array_equal(np.load(io.BytesIO(sample["npy"]), allow_pickle=False), chunk)


def test_random_order_is_a_permutation_that_only_its_inputs_change() -> None:
    order = random_order(1000, 7, "plate", "A01")
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    np.testing.assert_array_equal(order, random_order(1000, 7, "plate", "A01"))
    assert not np.array_equal(order, random_order(1000, 8, "plate", "A01"))
    assert not np.array_equal(order, random_order(1000, 7, "plateA", "01"))
    assert abs(np.corrcoef(np.arange(1000), order)[0, 1]) < 0.1
    assert random_order(0, 7).tolist() == []


def test_random_order_is_pinned_because_stored_datasets_depend_on_it() -> None:
    assert random_order(8, 0, "p", "A01").tolist() == PINNED


PINNED = [4, 7, 6, 5, 0, 1, 3, 2]


def test_member_too_large_or_name_too_long_is_refused() -> None:
    with pytest.raises(InputError, match="8 GiB"):
        ustar_header("a.npy", 8**11)
    with pytest.raises(InputError, match="100 bytes"):
        ustar_header("a" * 101, 1)
