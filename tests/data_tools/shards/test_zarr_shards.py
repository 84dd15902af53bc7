"""Zarr shards are arrays of the specification: stock zarr must read what arithmetic wrote."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zarr
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

from data_tools.shards import DATA_KEY, ShardsConfig, ZarrShardWriter
from framework.data.format.schema import CHECKSUM_BLOCK_BYTES, BloscCodec

CODECS = [
    None,
    *(BloscCodec(cname=c, shuffle=s) for c in ("lz4", "zstd") for s in ("noshuffle", "shuffle", "bitshuffle")),
]


def write(folder: Path, chunks: list[np.ndarray], codec: BloscCodec | None) -> tuple[ZarrShardWriter, np.ndarray, str]:
    """Write chunks as bags 0, 1 ... of an array at ``folder``."""
    (folder / DATA_KEY).parent.mkdir(parents=True)
    with (folder / DATA_KEY).open("wb") as file:
        writer = ZarrShardWriter(file, codec)
        offsets = [
            writer.add("k", len(chunk), np.array_split(chunk, 2), {"bag": bag, "well": f"A{bag:02d}"})
            for bag, chunk in enumerate(chunks)
        ]
        digest = writer.finish()
    channels = tuple(f"c{i}" for i in range(chunks[0].shape[1]))
    metadata = writer.metadata(channels, chunks[0].shape[2], str(chunks[0].dtype))
    (folder / "zarr.json").write_text(json.dumps(metadata))
    return writer, np.concatenate(offsets), digest


@pytest.mark.parametrize("codec", CODECS, ids=str)
def test_stock_zarr_reads_the_same_pixels(tmp_path: Path, codec: BloscCodec | None) -> None:
    rng = np.random.default_rng(0)
    chunks = [rng.poisson(300, (n, 3, 16, 16)).astype(np.uint16) for n in (3, 1, 4)]
    writer, offsets, digest = write(tmp_path / "a.zarr", chunks, codec)
    array = zarr.open_array(tmp_path / "a.zarr", mode="r")
    np.testing.assert_array_equal(array[:], np.concatenate(chunks))
    assert array.attrs["channels"] == ["c0", "c1", "c2"]
    assert [(bag["well"], bag["first"], bag["tiles"]) for bag in array.attrs["bags"]] == [
        ("A00", 0, 3),
        ("A01", 3, 1),
        ("A02", 4, 4),
    ]
    raw = (tmp_path / "a.zarr" / DATA_KEY).read_bytes()
    assert (len(raw), blake3(raw).hexdigest(), writer.tiles) == (writer.nbytes, digest, 8)
    # The index by hand: 16 bytes per chunk and a checksum at the end of the file.
    index = np.frombuffer(raw[-8 * 16 - 4 : -4], dtype="<u8").reshape(8, 2)
    assert index[:, 0].tolist() == offsets.tolist()
    assert index[:, 1].tolist() == np.concatenate(writer.tile_nbytes).tolist()
    assert int.from_bytes(raw[-4:], "little") == google_crc32c.value(raw[-8 * 16 - 4 : -4])
    if codec is None:
        assert raw[640 : len(raw) - 8 * 16 - 4] == np.concatenate(chunks).tobytes()
    else:
        shuffle = ("noshuffle", "shuffle", "bitshuffle").index(codec.shuffle)
        stock = numcodecs.Blosc(codec.cname, codec.clevel, shuffle)
        assert writer.tile_nbytes[0].tolist() == [len(stock.encode(tile)) for tile in chunks[0]]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_shape_type_and_codec(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "float32"]))
    channels, size = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
    counts = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    values = hnp.from_dtype(np.dtype(dtype), allow_nan=False)
    chunks = [data.draw(hnp.arrays(dtype, (n, channels, size, size), elements=values)) for n in counts]
    folder = tmp_path_factory.mktemp("any") / "a.zarr"
    write(folder, chunks, data.draw(st.sampled_from(CODECS)))
    found = zarr.open_array(folder, mode="r")[:]
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, np.concatenate(chunks))


def test_blocks_are_summed_wherever_writes_begin_and_end(tmp_path: Path) -> None:
    chunk = np.random.default_rng(0).integers(0, 65535, (70, 1, 256, 256), dtype=np.uint16)
    writer, _, _ = write(tmp_path / "a.zarr", [chunk[:33], chunk[33:]], None)
    raw = (tmp_path / "a.zarr" / DATA_KEY).read_bytes()
    starts = range(0, len(raw), CHECKSUM_BLOCK_BYTES)
    assert writer.block_sums == tuple(zlib.crc32(raw[at : at + CHECKSUM_BLOCK_BYTES]) for at in starts)
    assert len(writer.block_sums) == 2


def test_codec_is_for_zarr_and_none_has_a_name() -> None:
    assert ShardsConfig.from_plain({"layout": "tar", "codec": "none"}).codec is None
    assert ShardsConfig.from_plain({"layout": "zarr", "codec": {"cname": "zstd"}}).codec == BloscCodec(cname="zstd")
    with pytest.raises(ValidationError, match=r"layout 'tar' stores plain tiles.*set shards\.layout: zarr"):
        ShardsConfig.from_plain({"codec": {"id": "blosc"}})
    with pytest.raises(ValidationError, match="cname"):
        ShardsConfig.from_plain({"layout": "zarr", "codec": {"cname": "snappy"}})
