"""The fast way to read plain TIFFs gives what tifffile gives, or hands the file on."""

from __future__ import annotations

import io
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from data_tools.formats.plain_tiff import decode_plain, read_plain

IMAGE = np.arange(35, dtype=np.uint16).reshape(5, 7) * 1000


def write(image: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, **options)
    return stream.getvalue()


def with_fill_order(value: int, **options: object) -> bytes:
    """The image with its description (tag 270) turned into a FillOrder (tag 266), which ``tifffile`` never writes."""
    data = write(IMAGE, description="x" * 9, metadata=None, **options)
    at = data.index(struct.pack("<HHI", 270, 2, 10))
    return data[:at] + struct.pack("<HHIHH", 266, 3, 1, value, 0) + data[at + 12 :]


def test_a_fill_order_no_standard_allows_is_passed_over() -> None:
    np.testing.assert_array_equal(decode_plain(with_fill_order(0)), IMAGE)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_plain_files_are_decoded(byteorder: str, rows: int, compression: str | None) -> None:
    written = partial(write, compression=compression)
    found = decode_plain(written(IMAGE, byteorder=byteorder, rowsperstrip=rows))
    assert found is not None
    assert found.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(found, IMAGE)
    small = decode_plain(written(IMAGE.astype(np.uint8)))
    assert small is not None
    np.testing.assert_array_equal(small, IMAGE.astype(np.uint8))
    big = decode_plain(written(IMAGE, byteorder=byteorder, rowsperstrip=rows, bigtiff=True))
    assert big is not None
    np.testing.assert_array_equal(big, IMAGE)
    real = decode_plain(written(IMAGE.astype(np.float32) / 7, byteorder=byteorder, rowsperstrip=rows))
    assert real is not None
    assert real.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(real, IMAGE.astype(np.float32) / 7)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_differences_of_neighbours_are_added_up(byteorder: str, dtype: type) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 40)).astype(dtype)
    found = decode_plain(write(image, compression="lzw", predictor=True, byteorder=byteorder, rowsperstrip=4))
    assert found is not None
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize(
    "data",
    [
        write(IMAGE, compression="zlib"),
        write(IMAGE.astype(np.float32), compression="lzw", predictor=True),
        write(np.stack([IMAGE, IMAGE]), photometric="minisblack", metadata=None, compression="lzw"),
        write(IMAGE.astype(np.float16)),
        with_fill_order(2),
        write(IMAGE.astype(np.int16)),
        write(IMAGE, photometric="miniswhite"),
        write(np.stack([IMAGE, IMAGE]), photometric="minisblack", metadata=None),
        write(np.zeros((8, 8, 3), dtype=np.uint8), photometric="rgb"),
        write(np.zeros((32, 32), dtype=np.uint16), tile=(16, 16)),
        write(IMAGE)[:-1],
        b"",
        b"no image",
    ],
)
def test_all_others_are_handed_on(data: bytes) -> None:
    assert decode_plain(data) is None


def test_a_missing_file_is_handed_on(tmp_path: Path) -> None:
    assert read_plain(tmp_path / "no.tif") is None


@pytest.mark.parametrize(("compression", "most"), [(None, 1), ("lzw", 4096)])
@given(at=st.integers(0, 400), value=st.integers(0, 2**32 - 1), end=st.integers(0, 2000))
def test_damage_is_never_an_error(compression: str | None, most: int, at: int, value: int, end: int) -> None:
    data = bytearray(write(IMAGE, compression=compression, rowsperstrip=2))
    at = min(at, len(data) - 4)
    data[at : at + 4] = struct.pack("<I", value)
    for damaged in (bytes(data[:end]), bytes(data)):
        found = decode_plain(damaged)
        # What it gives can only be bytes that are there, or that codes of 12 bits stand for.
        assert found is None or found.nbytes <= most * len(damaged)
