"""The .cif decoder against an encoder written from the description, and against files damaged in every way."""

from __future__ import annotations

import os
import struct
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from fixtures.cif_files import encode_bitmask, encode_greyscale, write_cif
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_tools.formats.cif import CifPixels, index_cif
from data_tools.formats.cif_codec import CodecError, decode_bitmask, decode_greyscale
from data_tools.formats.tiff_directory import BytesSource, TiffDirectories
from framework.errors import InputError


def objects(n: int = 3, channels: int = 2) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(5)
    sizes = [(8 + 3 * i, 5 + 2 * i) for i in range(n)]
    images = [rng.integers(0, 4096, (channels, *size)).astype(np.uint16) for size in sizes]
    masks = [(image > 2000).astype(np.uint8) for image in images]
    return images, masks


@given(arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_an_encoded_image_comes_back(image: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_greyscale(encode_greyscale(image), *image.shape), image)


@given(arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 2)))
def test_an_encoded_mask_comes_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_bitmask(encode_bitmask(mask), *mask.shape), mask)


def test_nibbles_by_hand() -> None:
    # 3 -> nibble 3; -1 -> 7; 5 needs two nibbles because bit 2 is the sign: 5|8, 0; then -2 -> 6
    # low nibble first: 0x73, 0x0D, 0x06 (one nibble of padding)
    assert decode_greyscale(bytes([0x73, 0x0D, 0x06]), 2, 2).tolist() == [[3, 2], [8, 5]]
    # row 0: 3, 3-1=2; row 1: 5+3=8, then -2 + 2 + 8 - 3 = 5


def test_runs_by_hand() -> None:
    assert decode_bitmask(bytes([0, 2, 1, 0, 0, 1]), 2, 3).tolist() == [[0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("data", "shape", "words"),
    [
        (b"\x00", (2, 2), "1 bytes cannot hold 4 pixels"),
        (b"\x88\x88", (2, 2), "end after 0 of 4"),
        (b"\x88" * 6 + b"\x00" * 9, (2, 2), "13 nibbles"),
        (b"\x00", (0, 4), "0 x 4"),
        (b"\x00", (1 << 20, 1 << 20), "1048576 x 1048576"),
    ],
)
def test_greyscale_data_that_give_no_image_are_refused(data: bytes, shape: tuple[int, int], words: str) -> None:
    with pytest.raises(CodecError, match=words):
        decode_greyscale(data, *shape)


@pytest.mark.parametrize(
    ("data", "words"), [(b"\x00", "not pairs"), (b"\x00\x01", "hold 2 pixels"), (b"\x00\xff", "hold 256 pixels")]
)
def test_runs_that_do_not_fill_the_mask_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        decode_bitmask(data, 2, 2)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("strips", [1, 3])
def test_a_file_comes_back(tmp_path: Path, order: str, strips: int) -> None:
    images, masks = objects()
    file = write_cif(tmp_path / "a.cif", images, masks, numbers=[4, 0, 9], order=order, strips=strips)
    index = index_cif(file)
    assert index.objects.tolist() == [4, 0, 9]
    assert index.channels == ("Ch1", "Ch2")
    with CifPixels(file, 2) as pixels:
        for row, (image, mask) in enumerate(zip(images, masks, strict=True)):
            found = pixels.image(int(index.image_at[row]))
            assert found.dtype == np.uint16
            np.testing.assert_array_equal(found, image)
            np.testing.assert_array_equal(pixels.mask(int(index.mask_at[row])), mask)


def test_objects_without_masks_and_without_numbers_count_from_0(tmp_path: Path) -> None:
    images, _ = objects()
    file = write_cif(tmp_path / "a.cif", images, [None] * 3, numbers=[None] * 3)
    index = index_cif(file)
    assert index.objects.tolist() == [0, 1, 2]
    assert index.mask_at.tolist() == [-1, -1, -1]
    with CifPixels(file, 2) as pixels:
        np.testing.assert_array_equal(pixels.image(int(index.image_at[2])), images[2])


def test_channels_take_their_names_from_the_file(tmp_path: Path) -> None:
    images, masks = objects()
    named = index_cif(write_cif(tmp_path / "a.cif", images, masks, names="BF|CD34", in_use="1 1 0"))
    assert named.channels == ("BF", "CD34")
    numbered = index_cif(write_cif(tmp_path / "b.cif", images, masks, in_use="1 0 0 0 0 0 0 0 1 0 0 0"))
    assert numbered.channels == ("Ch1", "Ch9")
    other_count = index_cif(write_cif(tmp_path / "c.cif", images, masks, names="BF", in_use="1 1 1"))
    assert other_count.channels == ("Ch1", "Ch2")


def test_an_object_number_twice_needs_numbering_by_position(tmp_path: Path) -> None:
    images, masks = objects()
    file = write_cif(tmp_path / "merged.cif", images, masks, numbers=[0, 1, 0])
    with pytest.raises(InputError, match=r"object number 0 appear.*numbering: position"):
        index_cif(file)
    assert index_cif(file, numbering="position").objects.tolist() == [0, 1, 2]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no.cif: cannot be opened \(No such file"):
        index_cif(tmp_path / "no.cif")


def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.cif")
    with pytest.raises(InputError, match=r"pipe\.cif: expected an ordinary file, found a pipe; correct 'path'"):
        index_cif(tmp_path / "pipe.cif")
    with pytest.raises(InputError, match="found a folder"):
        index_cif(tmp_path)


def test_a_width_that_is_no_multiple_of_the_channels_is_refused(tmp_path: Path) -> None:
    images, masks = objects(1)
    file = write_cif(tmp_path / "a.cif", images, masks, names="A|B")
    data = bytearray(file.read_bytes())
    at = data.index(struct.pack("<HHI", 33000, 3, 1)) + 8
    data[at] = 3
    file.write_bytes(data)
    at = int(index_cif(file).image_at[0])
    with CifPixels(file, 3) as pixels, pytest.raises(InputError, match=f"byte {at}: 10 columns are not 3 channels"):
        pixels.image(at)


def test_a_mask_before_its_image_is_refused(tmp_path: Path) -> None:
    images, masks = objects(2)
    file = write_cif(tmp_path / "a.cif", images, masks)
    data = bytearray(file.read_bytes())
    first = data.index(struct.pack("<HHIH", 259, 3, 1, 30817))
    data[first + 8 : first + 10] = struct.pack("<H", 30818)
    file.write_bytes(data)
    with pytest.raises(InputError, match="does not follow the image of its object"):
        index_cif(file)


def test_a_circle_of_directories_ends(tmp_path: Path) -> None:
    images, masks = objects(2)
    file = write_cif(tmp_path / "a.cif", images, masks)
    data = bytearray(file.read_bytes())
    data[-4:] = data[4:8]
    file.write_bytes(data)
    with pytest.raises(InputError, match="form a circle"):
        index_cif(file)


def test_overlapping_directories_end_in_linear_time() -> None:
    # every directory begins 18 bytes behind the one before: walked in full this would cost the square of the size
    step, n = 18, 4000
    body = bytearray(b"II" + struct.pack("<HI", 42, 8) + b"\0" * (step * n + 6200))
    for at in range(8, 8 + step * n, step):
        struct.pack_into("<H", body, at, 500)
        struct.pack_into("<I", body, at + 2 + 12 * 500, at + step)
    chain = TiffDirectories("a.cif", BytesSource(bytes(body))).chain()
    most = len(body) // 6006 + 1
    with pytest.raises(InputError, match=r"a\.cif: its directories overlap"):
        list(islice(chain, most))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "TIFF header"),
        (b"PK\3\4aaaaaaaa", "expected a TIFF, found a ZIP archive"),
        (b"II" + struct.pack("<HI", 43, 8), "BigTIFF"),
        (b"II" + struct.pack("<HI", 7, 8), "version 42 or 43 .BigTIFF., found 7"),
        (b"II" + struct.pack("<HI", 42, 0), "no directory"),
        (b"II" + struct.pack("<HI", 42, 4_000_000_000), "would end at byte 4000000002"),
        (b"II" + struct.pack("<HIH", 42, 8, 0), "0 tags"),
        (b"II" + struct.pack("<HIH", 42, 8, 65535), "65535 tags"),
    ],
)
def test_a_file_that_is_no_cif_is_refused(tmp_path: Path, body: bytes, words: str) -> None:
    file = tmp_path / "a.cif"
    file.write_bytes(body)
    with pytest.raises(InputError, match=words):
        index_cif(file)


def test_entities_in_the_metadata_are_refused(tmp_path: Path) -> None:
    images, masks = objects(1)
    bomb = '<!DOCTYPE a [<!ENTITY b "1 1 1 1">]>'
    file = write_cif(tmp_path / "a.cif", images, masks, in_use="1 1 " + " " * len(bomb))
    data = file.read_bytes()
    start = data.index(b"<Assay>")
    end = data.index(b"</Assay>") + 8
    text = (bomb.encode() + data[start:end].replace(b" " * len(bomb), b""))[: end - start].ljust(end - start)
    file.write_bytes(data[:start] + text + data[end:])
    with pytest.raises(InputError, match="tag 33027 are not XML"):
        index_cif(file)


def _read_all(file: Path) -> None:
    index = index_cif(file)
    with CifPixels(file, len(index.channels)) as pixels:
        for image_at, mask_at in zip(index.image_at, index.mask_at, strict=True):
            pixels.image(int(image_at))
            if mask_at >= 0:
                pixels.mask(int(mask_at))


_HEALTHY: list[bytes] = []


def _healthy(folder: Path) -> bytes:
    if not _HEALTHY:
        images, masks = objects(3)
        _HEALTHY.append(write_cif(folder / "h.cif", images, masks, names="A|B", in_use="1 1").read_bytes())
    return _HEALTHY[0]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_gives_pixels_or_an_input_error_in_bounded_memory(tmp_path: Path, data: st.DataObject) -> None:
    body = bytearray(_healthy(tmp_path))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 4))
        body[at : at + 4] = struct.pack("<I", data.draw(st.integers(0, 2**32 - 1) | st.integers(0, len(body))))
    body = body[: data.draw(st.integers(0, len(body)) | st.just(len(body)))]
    file = tmp_path / "damaged.cif"
    file.write_bytes(body)
    tracemalloc.start()
    try:
        _read_all(file)
    except InputError as error:
        assert str(file) in str(error)  # noqa: PT017 - both outcomes are right, only another error is wrong
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4_000_000


def test_a_file_whose_first_byte_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.cif").symlink_to("/proc/self/mem")  # it opens, and reading it is an error of the disk
    with pytest.raises(InputError, match=r"a\.cif: cannot be read \(Input/output error\); copy it again"):
        index_cif(tmp_path / "a.cif")
