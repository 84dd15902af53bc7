"""What a page may be: one table, held against libtiff, tifffile and the decoder of plain pages."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from fixtures.handmade_tiff import LONG, SHORT, bits_turned, packed_bits, page_tags, write_tiff
from fixtures.tiff_pixels import decode_pages, decode_tiff

from data_tools.formats.plain_tiff import decode_page, decode_plain
from data_tools.formats.tiff import Tiff, decode_grey, decode_labels
from data_tools.formats.tiff_directory import BytesSource, TiffDirectories, TiffError
from data_tools.formats.tiff_page import Page, read_page

IMAGE = np.random.default_rng(3).integers(0, 65536, (9, 14)).astype(np.uint16)
PACKERS = {
    1: bytes,
    5: lambda raw: bytes(imagecodecs.lzw_encode(raw)),
    8: zlib.compress,
    32946: zlib.compress,
    32773: lambda raw: bytes(imagecodecs.packbits_encode(raw)),
    50000: lambda raw: bytes(imagecodecs.zstd_encode(raw)),
}


def page_of(data: bytes) -> Page:
    tiff = TiffDirectories("a.tif", BytesSource(data))
    return read_page(tiff, next(tiff.chain()))


def stored(image: npt.NDArray[Any], order: str, bits: int, predictor: int) -> bytes:
    if predictor == 3:
        return bytes(imagecodecs.floatpred_encode(image.astype(image.dtype.newbyteorder(order)), axis=-1))
    if predictor == 2:
        whole = image.view(f"u{image.dtype.itemsize}")
        image = np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1)
    if bits % 8:
        return packed_bits(image, bits)
    return image.astype(image.dtype.newbyteorder(order)).tobytes()


def written(bits: int, compression: int, predictor: int, order: str, low_first: bool, rows: int, big: bool) -> Any:
    """Return an image, and a file of it with strips of ``rows`` rows."""
    image: npt.NDArray[Any] = IMAGE >> (16 - bits) if bits <= 16 else IMAGE.astype(np.float32) / 7
    image = image.astype(np.uint8) if bits == 8 else image
    pieces = []
    for start in range(0, len(image), rows):
        packed = PACKERS[compression](stored(image[start : start + rows], order, bits, predictor))
        pieces.append(bits_turned(packed) if low_first else packed)
    more = {"t258": bits, "t259": compression, "t266": 1 + low_first, "t278": rows, "t317": predictor}
    return image, write_tiff([(page_tags(image, **more), pieces)], order, big)


def allowed(bits: int, compression: int, predictor: int) -> bool:
    """The part of the table that concerns packing, written out once more."""
    if predictor != 1 and (compression in (1, 32773) or bits not in (8, 16, 32)):
        return False
    if predictor == 3 and bits != 32:
        return False
    return compression != 32773 or bits in (8, 16, 32)


@pytest.mark.parametrize("compression", list(PACKERS))
@pytest.mark.parametrize("predictor", [1, 2, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16, 32])
def test_three_decoders_give_the_same_pixels_or_nobody_any(
    bits: int, predictor: int, compression: int, tmp_path: Path
) -> None:
    file = tmp_path / "a.tif"
    for order, low_first, rows, big in (("<", False, 9, False), (">", False, 4, True), ("<", True, 4, False)):
        if not allowed(bits, compression, predictor):
            _, data = written(bits, compression, 1, order, low_first, rows, big)
            image = np.zeros((9, 14), np.float32 if bits == 32 else np.uint16)
            tags = page_tags(image, t258=bits, t259=compression, t317=predictor)
            data = write_tiff([(tags, [bytes(9999)])], order, big)
            with pytest.raises(TiffError, match=r"predictor|PackBits"):
                page_of(data)
            continue
        image, data = written(bits, compression, predictor, order, low_first, rows, big)
        file.write_bytes(data)
        tiff = Tiff(file)
        np.testing.assert_array_equal(tiff.by_libtiff(0), image)
        np.testing.assert_array_equal(tiff.by_tifffile(0), image)
        np.testing.assert_array_equal(decode_grey(file), image)
        plain = decode_page(data, order, tiff.pages[0])
        simple = compression in (1, 5) and bits % 8 == 0 and not low_first and predictor < 3
        assert (plain is not None) == (simple and not (predictor == 2 and bits == 32))
        if plain is not None:
            np.testing.assert_array_equal(plain, image)


def test_white_as_zero_is_turned_round(tmp_path: Path) -> None:
    for number, (bits, compression) in enumerate([(8, 1), (16, 1), (16, 5), (16, 8), (12, 1)]):
        image, data = written(bits, compression, 1, "<", False, 9, False)
        tags = page_tags(image, t258=bits, t259=compression, t262=0)
        raw = PACKERS[compression](stored(image, "<", bits, 1))
        file = tmp_path / f"{number}.tif"
        file.write_bytes(write_tiff([(tags, [raw])]))
        np.testing.assert_array_equal(decode_tiff(file), (2**bits - 1) - image.astype(np.int64))
        assert decode_tiff(file).dtype == image.dtype
        assert data != file.read_bytes()


def palette(*columns: Sequence[int]) -> tuple[int, list[int]]:
    return SHORT, [value for column in columns for value in column]


RISING, FALLING, NOTHING = [257 * i for i in range(256)], [257 * i for i in range(255, -1, -1)], [0] * 256


def test_the_index_of_a_palette_counts_where_its_colours_follow_it(tmp_path: Path) -> None:
    image = np.arange(126, dtype=np.uint8).reshape(9, 14)
    file = tmp_path / "a.tif"

    def read(*columns: Sequence[int]) -> Any:
        tags = {**page_tags(image, t262=3), 320: palette(*columns)}
        file.write_bytes(write_tiff([(tags, [image.tobytes()])], ">"))
        return decode_grey(file)

    np.testing.assert_array_equal(read(RISING, RISING, RISING), image)
    np.testing.assert_array_equal(read(NOTHING, RISING, NOTHING), image)
    np.testing.assert_array_equal(read(FALLING, FALLING, FALLING), 255 - image)
    for columns in ((RISING, FALLING, RISING), (NOTHING, NOTHING, NOTHING), ([7, *RISING[:-1]], RISING, RISING)):
        with pytest.raises(TiffError, match="palette whose colours do not get steadily brighter or darker"):
            read(*columns)
    with pytest.raises(TiffError, match="palette of 255 values, expected 768"):
        read(RISING[:-1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t262": 4}, "photometric interpretation 4 with 1 samples"),
        ({"t262": 2}, "photometric interpretation 2 with 1 samples"),
        ({"t262": 32803}, "photometric interpretation 32803"),
        ({"t259": 6}, "compression 6"),
        ({"t259": 2}, "compression 2"),
        ({"t258": 1}, "found uint1"),
        ({"t258": 32}, "found uint32"),
        ({"t339": 2}, "found int16"),
        ({"t339": 3}, "found float16"),
        ({"t339": 4}, "found format 4 of 16"),
        ({"t317": 9}, "predictor 9"),
        ({"t256": 0}, "an image of 9 x 0 px"),
        ({"t256": 15}, "252 bytes of pixels, which are too few for 9 x 15 px"),
        ({"t257": 60000}, "1 strips or tiles, expected 6667"),
        ({"t278": 4}, "1 strips or tiles, expected 3"),
        ({"t277": 3}, "too few|expected"),
        ({"t254": 1}, "holds a page of reduced resolution, but no image of full resolution"),
        ({"t254": 4}, "holds a mask, but no image"),
        ({"t255": 2}, "holds a page of reduced resolution"),
        ({"t274": 9}, "orientation 9, expected 1 to 8"),
        ({"t274": 2}, "orientation 2: the image is stored with its first column at the right"),
        ({"t274": 4}, "orientation 4: .* first row at the bottom, and .*: tiffset -s 274 1 FILE"),
    ],
)
def test_a_page_that_is_something_else_is_refused(change: dict[str, int], words: str, tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    file.write_bytes(write_tiff([(page_tags(IMAGE, **change), [IMAGE.tobytes()])]))
    with pytest.raises(TiffError, match=words):
        decode_tiff(file)


@pytest.mark.parametrize("compression", [1, 5, 8])
def test_an_orientation_that_programs_read_differently_is_refused_whoever_would_decode(
    compression: int, tmp_path: Path
) -> None:
    file = tmp_path / "a.tif"
    for orientation in range(9):
        tags = page_tags(IMAGE, t259=compression, t274=orientation)
        data = write_tiff([(tags, [PACKERS[compression](IMAGE.tobytes())])])
        file.write_bytes(data)
        if orientation < 2:
            np.testing.assert_array_equal(decode_grey(file), IMAGE)
            continue
        for read in (decode_grey, decode_labels, decode_pages):
            with pytest.raises(TiffError, match=f"orientation {orientation}"):
                read(file)
        assert decode_plain(data) is None


def test_sizes_that_only_the_header_has_are_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    for compression in (1, 5, 8, 32773, 50000):
        tags = {**page_tags(IMAGE, t259=compression), 256: (LONG, [2**31]), 257: (LONG, [2**31]), 278: (LONG, [2**31])}
        file.write_bytes(write_tiff([(tags, [IMAGE.tobytes()])]))
        with pytest.raises(TiffError, match="at most 2147483648 bytes are read"):
            decode_tiff(file)
    tags = {**page_tags(IMAGE, t259=8), 256: (LONG, [30000]), 257: (LONG, [30000]), 278: (LONG, [30000])}
    file.write_bytes(write_tiff([(tags, [IMAGE.tobytes()])]))
    with pytest.raises(TiffError, match="252 bytes of pixels, which are too few for 30000 x 30000 px"):
        decode_tiff(file)


@pytest.mark.parametrize("offset", [0, 4, 7])
@pytest.mark.parametrize("compression", [1, 5, 8])
def test_strips_inside_the_header_are_refused(offset: int, compression: int, tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    raw = PACKERS[compression](IMAGE.tobytes())
    file.write_bytes(write_tiff([(page_tags(IMAGE, t259=compression), [raw])], offsets=[offset]))
    with pytest.raises(TiffError, match=f"pixel data begin at byte {offset}, in the header"):
        decode_tiff(file)


def test_a_circle_of_pages_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    for pages in (1, 3):
        file.write_bytes(write_tiff([(page_tags(IMAGE), [IMAGE.tobytes()])] * pages, loop=True))
        for read in (decode_tiff, decode_grey, decode_pages):
            with pytest.raises(TiffError, match="form a circle at byte"):
                read(file)


def test_a_thumbnail_before_the_image_is_left_out(tmp_path: Path) -> None:
    file, small = tmp_path / "a.tif", IMAGE[::2, ::2].copy()
    for mark in ({"t254": 1}, {"t255": 2}, {"t254": 4}):
        pages = [(page_tags(small, **mark), [small.tobytes()]), (page_tags(IMAGE, t254=2), [IMAGE.tobytes()])]
        file.write_bytes(write_tiff(pages))
        np.testing.assert_array_equal(decode_grey(file), IMAGE)
        np.testing.assert_array_equal(decode_pages(file)[0], IMAGE)
        file.write_bytes(write_tiff(pages[::-1]))
        np.testing.assert_array_equal(decode_grey(file), IMAGE)


def test_several_images_are_never_the_first(tmp_path: Path) -> None:
    file, small = tmp_path / "a.tif", IMAGE[::2].copy()
    file.write_bytes(write_tiff([(page_tags(IMAGE), [IMAGE.tobytes()]), (page_tags(small), [small.tobytes()])]))
    with pytest.raises(TiffError, match=r"2 pages of different shapes: \(9, 14\), \(5, 14\); save the right one"):
        decode_grey(file)
    assert [page.shape for page in decode_pages(file)] == [(9, 14), (5, 14)]


def test_a_stack_that_only_a_description_tells_of_is_refused(tmp_path: Path) -> None:
    file, stack = tmp_path / "a.tif", np.stack([IMAGE] * 3)
    tifffile.imwrite(file, stack, truncate=True, photometric="minisblack")
    with pytest.raises(TiffError, match="a stack in one page"):
        decode_grey(file)
    text = b"ImageJ=1.53t\nimages=5\nslices=5\n\0"
    file.write_bytes(write_tiff([({**page_tags(IMAGE), 270: (2, text)}, [IMAGE.tobytes()])]))
    with pytest.raises(TiffError, match="an ImageJ stack of 5 images in one page"):
        decode_grey(file)
    file.write_bytes(write_tiff([({**page_tags(IMAGE), 33629: (LONG, [1] * 12)}, [IMAGE.tobytes()])]))
    with pytest.raises(TiffError, match="a MetaMorph stack of 12 planes in one page"):
        decode_grey(file)
    volume = np.zeros((2, 16, 16), np.uint16)
    tifffile.imwrite(file, volume, volumetric=True, tile=(2, 16, 16), photometric="minisblack")
    with pytest.raises(TiffError, match="a volume of 2 planes in one page"):
        decode_grey(file)
    tifffile.imwrite(file, IMAGE, imagej=True)
    np.testing.assert_array_equal(decode_grey(file), IMAGE)


def test_tiles_and_samples_apart_are_read_by_all(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    colours = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    for number, options in enumerate(({}, {"planarconfig": "separate"}, {"tile": (16, 32)})):
        for compression in ("lzw", "zlib", None):
            stored_as = np.moveaxis(colours, -1, 0) if "planarconfig" in options else colours
            tifffile.imwrite(file, stored_as, photometric="rgb", compression=compression, **options)
            tiff = Tiff(file)
            np.testing.assert_array_equal(tiff.by_libtiff(0), colours, err_msg=str(number))
            np.testing.assert_array_equal(tiff.by_tifffile(0), colours)
            np.testing.assert_array_equal(decode_tiff(file), colours)
            with pytest.raises(TiffError, match=r"expected one 2-D greyscale image, found shape \(.*\): 3 samples"):
                decode_grey(file)
    tifffile.imwrite(file, colours[:, :, 0], tile=(16, 32), compression="lzw")
    np.testing.assert_array_equal(decode_grey(file), colours[:, :, 0])
    data = bytearray(file.read_bytes())
    with tifffile.TiffFile(file) as opened:
        place = opened.pages.first.tags["TileLength"].valueoffset
    data[place : place + 2] = (48).to_bytes(2, "little")
    file.write_bytes(data)
    with pytest.raises(TiffError, match="6 strips or tiles, expected 2"):
        decode_grey(file)


def test_extra_samples_are_transparency_or_not(tmp_path: Path) -> None:
    file, pixels = tmp_path / "a.tif", np.zeros((4, 5, 5), np.uint8)
    for kinds, alpha in ((["unassalpha", "unspecified"], (3,)), (["unspecified", "assocalpha"], (4,))):
        tifffile.imwrite(file, pixels, photometric="rgb", planarconfig="contig", extrasamples=kinds)
        assert Tiff(file).images[0].alpha == alpha
    tags = {**page_tags(IMAGE, t277=2), 258: (SHORT, [16, 16]), 338: (SHORT, [1, 1, 1]), 339: (SHORT, [1, 1])}
    file.write_bytes(write_tiff([(tags, [IMAGE.tobytes() * 2])]))
    with pytest.raises(TiffError, match="3 extra samples, in a page of 2 samples per pixel"):
        Tiff(file)


def test_sister_files_named_in_ome_xml_are_not_read(tmp_path: Path) -> None:
    ome = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        'UUID="urn:uuid:00000000-0000-0000-0000-000000000000"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYCZT" Type="uint16" SizeX="14" SizeY="9" SizeC="2" SizeZ="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><Channel ID="Channel:0:1" SamplesPerPixel="1"/>'
        '<TiffData FirstC="0" IFD="0" PlaneCount="1"><UUID FileName="a.ome.tif">urn:uuid:00000000-0000-0000-0000-'
        '000000000000</UUID></TiffData><TiffData FirstC="1" IFD="0" PlaneCount="1"><UUID FileName="b.ome.tif">urn:uuid:'
        "00000000-0000-0000-0000-000000000001</UUID></TiffData></Pixels></Image></OME>"
    )
    for compression in (None, "lzw", "zlib"):
        for name, image in (("a.ome.tif", IMAGE), ("b.ome.tif", IMAGE[::-1])):
            tifffile.imwrite(tmp_path / name, image, description=ome, metadata=None, compression=compression)
        np.testing.assert_array_equal(decode_grey(tmp_path / "a.ome.tif"), IMAGE)
        np.testing.assert_array_equal(decode_grey(tmp_path / "b.ome.tif"), IMAGE[::-1])
