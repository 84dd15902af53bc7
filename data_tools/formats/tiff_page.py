"""What a page of a TIFF may be: one table for every decoder, so that all give the same pixels or the same refusal.

Decoders differ in what they pass over in silence: a predictor without a compression that knows it, a palette, samples
that are missing, a page that is only a thumbnail. So no decoder sees a page before ``read_page`` has checked it, and
every number a page states is held against the size of its file before anything is allocated.

============================  ==========================================================================================
pixels                        unsigned integers of 8 to 16 bits (9 to 15 packed without gaps), floats of 32 bits
compression                   none, LZW, deflate, PackBits, Zstandard, LZMA, JPEG, JPEG 2000
predictor                     differences of neighbours with LZW, deflate, Zstandard or LZMA and pixels of 8, 16 or 32
                              bits (of floats also TIFF's third kind)
photometric                   black is zero; white is zero (values are turned round, as TIFF 6.0 defines it); RGB; YCbCr
                              as JPEG; a palette that rises or falls with its index, whose index then is the value
layout                        strips or tiles, samples together or apart, either bit order, either byte order, BigTIFF
left out                      pages of reduced resolution and masks (NewSubfileType), beside a page that is neither
not a channel                 samples that ExtraSamples states to be transparency (``Page.alpha``)
orientation                   the first row at the top, the first column at the left; for others some programs turn the
                              image and some do not
============================  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data_tools.formats.tiff_directory import (
    BITS_PER_SAMPLE,
    COMPRESSION,
    IMAGE_LENGTH,
    IMAGE_WIDTH,
    MAX_VALUES,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES_PER_PIXEL,
    Directory,
    TiffDirectories,
)

NEW_SUBFILE_TYPE, SUBFILE_TYPE, PHOTOMETRIC, FILL_ORDER, DESCRIPTION, ORIENTATION = 254, 255, 262, 266, 270, 274
PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 284, 317, 320, 322, 323, 324, 325
METAMORPH_PLANES = 33629
EXTRA_SAMPLES, IMAGE_DEPTH = 338, 32997

RAW, LZW, JPEG, PACK_BITS = 1, 5, 7, 32773
_DEFLATE = (8, 32946)
_PREDICTED = (LZW, *_DEFLATE, 50000, 34925)
COMPRESSIONS = {
    RAW: 1,
    LZW: 4096,
    8: 1100,
    32946: 1100,
    PACK_BITS: 64,
    JPEG: 1 << 12,
    33003: 1 << 20,
    33005: 1 << 20,
    34712: 1 << 20,
    34925: 1 << 20,
    50000: 1 << 20,
}
"""Compression -> bytes of pixels that one stored byte can stand for at most."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
NO_PREDICTOR, DIFFERENCES, FLOAT_DIFFERENCES = 1, 2, 3
LOW_BIT_FIRST = 2
MOST_BYTES = 1 << 31
"""Pixels of a page, and bytes of a file, that are read."""
_MOST_SAMPLES = 64
_REDUCED, _MASK = 1, 4
_TRANSPARENCY = (1, 2)
"""Extra samples that are not a channel: how far the others are to be seen, multiplied into them or not."""
_ORIENTATIONS = {
    2: "its first column at the right",
    3: "its first row at the bottom and its first column at the right",
    4: "its first row at the bottom",
    **dict.fromkeys((5, 6, 7, 8), "its rows as columns"),
}
"""How images lie that are not stored as they are seen."""
_WORDS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex"}


class Page(NamedTuple):
    """One page, checked; a tuple, because an export has 100,000 of them.

    Attributes:
        height, width: in px.
        samples: values of a pixel.
        bits: bits of a value as it is stored.
        is_float: whether values are floats, else unsigned integers.
        compression, predictor, photometric: as TIFF numbers them.
        apart: whether each sample is a plane of its own.
        low_bit_first: whether bytes are stored with their lowest bit first.
        tiled: in tiles, else in strips.
        rows: rows of a strip or tile.
        pieces: (offset, bytes) of each strip or tile.
        turned: whether 0 stands for white, so that values have to be turned round.
        left_out: what the page is beside the image, as ``a page of reduced resolution``; empty for an image.
        signed: whether integers have a sign, as only those of label images may.
        alpha: samples that the page states to be transparency.
    """

    height: int
    width: int
    samples: int
    bits: int
    is_float: bool
    compression: int
    predictor: int
    photometric: int
    apart: bool
    low_bit_first: bool
    tiled: bool
    rows: int
    pieces: Sequence[tuple[int, int]]
    turned: bool
    left_out: str
    signed: bool = False
    alpha: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W), or (H, W, S) with several samples."""
        return (self.height, self.width) if self.samples == 1 else (self.height, self.width, self.samples)

    @property
    def dtype(self) -> str:
        """Name of the type the pixels are read as."""
        if self.is_float:
            return "float32"
        return f"{'' if self.signed else 'u'}int{8 if self.bits == 8 else 16 if self.bits <= 16 else 32}"


def read_page(tiff: TiffDirectories, directory: Directory, *, labels: bool = False) -> Page:
    """Return the facts of a page that every decoder reads alike.

    Args:
        tiff: the file.
        directory: directory of the page.
        labels: whether its values are numbers of objects, not brightness: then integers of 32 bits and signed ones are
            taken, and whatever palette or sense of black and white goes with them means nothing.

    Raises:
        TiffError: damaged, or something of which decoders make different pixels or none.
    """
    integer = tiff.integer
    height, width = integer(directory, IMAGE_LENGTH), integer(directory, IMAGE_WIDTH)
    samples = integer(directory, SAMPLES_PER_PIXEL, 1)
    if not (height > 0 and width > 0 and 0 < samples <= _MOST_SAMPLES):
        raise tiff.damaged(f"an image of {height} x {width} px with {samples} samples per pixel")
    bits, is_float, signed = _pixel_type(tiff, directory, labels)
    compression, predictor = integer(directory, COMPRESSION, RAW), integer(directory, PREDICTOR, NO_PREDICTOR)
    _check_packing(tiff, compression, predictor, bits, is_float)
    apart = samples > 1 and integer(directory, PLANAR, 1) == 2
    tiled = TILE_WIDTH in directory.entries
    size = height * ((width * samples * bits + 7) // 8)
    if size > MOST_BYTES:
        raise tiff.refused(f"an image of {height} x {width} px ({size} bytes); at most {MOST_BYTES} bytes are read")
    page = Page(
        height=height,
        width=width,
        samples=samples,
        bits=bits,
        is_float=is_float,
        compression=compression,
        predictor=predictor,
        photometric=integer(directory, PHOTOMETRIC, BLACK_IS_ZERO),
        apart=apart,
        low_bit_first=integer(directory, FILL_ORDER, 1) == LOW_BIT_FIRST,
        tiled=tiled,
        rows=integer(directory, TILE_LENGTH) if tiled else min(height, integer(directory, ROWS_PER_STRIP, height)),
        pieces=_tiles(tiff, directory) if tiled else tiff.strips(directory),
        turned=False,
        left_out=_left_out(directory, tiff),
        signed=signed,
        alpha=_alpha(directory, tiff, samples) if samples > 1 else (),
    )
    _check_pieces(tiff, directory, page, size)
    _check_only_image(tiff, directory)
    _check_orientation(tiff, directory)
    return page._replace(turned=True) if not labels and _is_turned(tiff, directory, page) else page


def _pixel_type(tiff: TiffDirectories, directory: Directory, labels: bool) -> tuple[int, bool, bool]:
    """Return bits of a value, and whether values are floats, or integers with a sign."""
    bit, form = tiff.integer(directory, BITS_PER_SAMPLE, 1), tiff.integer(directory, SAMPLE_FORMAT, 1)
    for tag, first in ((BITS_PER_SAMPLE, bit), (SAMPLE_FORMAT, form)):
        if directory.entries.get(tag, (0, 1))[1] != 1 and any(
            other != first for other in tiff.integers(directory, tag)
        ):
            raise tiff.refused("samples of different types in one page")
    is_label = labels and form in (1, 2) and bit in (8, 16, 32)
    if not (is_label or (form == 1 and 8 <= bit <= 16) or (form == 3 and bit == 32)):
        found = f"{_WORDS.get(form, f'format {form} of ')}{bit}"
        kinds = "integers of 8, 16 or 32 bits" if labels else "pixels of uint8, uint16 or float32"
        raise tiff.refused(f"expected {kinds}, found {found}")
    return bit, form == 3, form == 2


def _check_packing(tiff: TiffDirectories, compression: int, predictor: int, bits: int, is_float: bool) -> None:
    if compression not in COMPRESSIONS:
        known = ", ".join(str(number) for number in COMPRESSIONS)
        raise tiff.refused(f"compression {compression}; known are {known} (1 none, 5 LZW, 8 deflate)")
    if not NO_PREDICTOR <= predictor <= FLOAT_DIFFERENCES:
        raise tiff.damaged(f"predictor {predictor}, expected 1, 2 or 3")
    whole = bits in (8, 16, 32)
    if predictor != NO_PREDICTOR and (compression not in _PREDICTED or not whole):
        raise tiff.refused(f"predictor {predictor} with compression {compression} and {bits} bits, which TIFF does not "
                           "define")  # fmt: skip
    if predictor == FLOAT_DIFFERENCES and not is_float:
        raise tiff.refused("predictor 3, which is for floats, but the pixels are integers")
    if compression == PACK_BITS and not whole:
        raise tiff.refused(f"PackBits compression with {bits} bits, from which decoders read different pixels")
    if compression == JPEG and bits != 8:
        raise tiff.refused(f"JPEG compression with {bits} bits; expected 8")


def _tiles(tiff: TiffDirectories, directory: Directory) -> list[tuple[int, int]]:
    offsets, counts = tiff.integers(directory, TILE_OFFSETS), tiff.integers(directory, TILE_COUNTS)
    if not offsets or len(offsets) != len(counts):
        raise tiff.damaged(f"{len(offsets)} tile offsets and {len(counts)} tile lengths")
    return tiff.ranges(directory, offsets, counts)


def _check_pieces(tiff: TiffDirectories, directory: Directory, page: Page, size: int) -> None:
    """Check that there are as many strips or tiles as the size needs, and bytes for every pixel."""
    planes = page.samples if page.apart else 1
    across = 1
    columns = page.width
    if page.tiled:
        columns = tiff.integer(directory, TILE_WIDTH)
        if columns < 1:
            raise tiff.damaged("tiles without width")
        across = -(-page.width // columns)
    if page.rows < 1:
        raise tiff.damaged("strips or tiles without rows")
    expected = planes * across * -(-page.height // page.rows)
    if len(page.pieces) != expected:
        raise tiff.damaged(f"{len(page.pieces)} strips or tiles, expected {expected}")
    row_bytes = (columns * (page.samples // planes) * page.bits + 7) // 8
    stored = sum(count for _, count in page.pieces)
    ratio = COMPRESSIONS[page.compression]
    needed = page.rows * row_bytes * expected if page.tiled else size
    if needed > MOST_BYTES or needed > ratio * stored:
        raise tiff.damaged(f"{stored} bytes of pixels, which are too few for {page.height} x {page.width} px")
    if page.compression == RAW:
        _check_raw(tiff, page, row_bytes)


def _check_raw(tiff: TiffDirectories, page: Page, row_bytes: int) -> None:
    strips = -(-page.height // page.rows)
    last = page.rows if page.tiled else page.height - page.rows * (strips - 1)
    for number, (_, count) in enumerate(page.pieces):
        rows = last if not page.tiled and number % strips == strips - 1 else page.rows
        if count < rows * row_bytes:
            raise tiff.damaged(f"strip or tile {number} has {count} bytes, expected {rows * row_bytes}")


def _is_turned(tiff: TiffDirectories, directory: Directory, page: Page) -> bool:
    """Return whether 0 stands for white.

    Raises:
        TiffError: colours that are not a measure of brightness.
    """
    photometric, samples = page.photometric, page.samples
    if photometric == BLACK_IS_ZERO or (photometric == RGB and samples >= 3):
        return False
    if photometric == WHITE_IS_ZERO and not page.is_float and page.compression != JPEG:
        return True
    if photometric == YCBCR and samples == 3 and page.compression == JPEG:
        return False
    if photometric == PALETTE and samples == 1 and not page.is_float:
        return _palette_falls(tiff, directory, page.bits)
    raise tiff.refused(f"photometric interpretation {photometric} with {samples} samples per pixel; expected greyscale "
                       "(1) or RGB (2)")  # fmt: skip


def _palette_falls(tiff: TiffDirectories, directory: Directory, bits: int) -> bool:
    """Return whether a palette is brightest at 0; one whose colours do not follow the index means no brightness."""
    colours = tiff.integers(directory, COLOUR_MAP, limit=3 * MAX_VALUES)
    if len(colours) != 3 << bits:
        raise tiff.damaged(f"a palette of {len(colours)} values, expected {3 << bits}")
    parts = [colours[start : start + (1 << bits)] for start in range(0, len(colours), 1 << bits)]
    if any(part[0] != part[-1] for part in parts):
        rises = all(list(part) == sorted(part) for part in parts)
        falls = all(list(part) == sorted(part, reverse=True) for part in parts)
        if rises or falls:
            return falls
    raise tiff.refused(
        "a palette whose colours do not get steadily brighter or darker with the stored number, so the number is not a "
        "brightness; save the image as greyscale"
    )


def _left_out(directory: Directory, tiff: TiffDirectories) -> str:
    new, old = _kind(tiff, directory, NEW_SUBFILE_TYPE), _kind(tiff, directory, SUBFILE_TYPE)
    if new & _MASK:
        return "a mask"
    return "a page of reduced resolution" if new & _REDUCED or (not new and old == 2) else ""


def _alpha(directory: Directory, tiff: TiffDirectories, samples: int) -> tuple[int, ...]:
    extra = tiff.integers(directory, EXTRA_SAMPLES, _MOST_SAMPLES)
    if len(extra) > samples:
        raise tiff.damaged(f"{len(extra)} extra samples, in a page of {samples} samples per pixel")
    first = samples - len(extra)
    return tuple(first + number for number, kind in enumerate(extra) if kind in _TRANSPARENCY)


def _kind(tiff: TiffDirectories, directory: Directory, tag: int) -> int:
    """Return what kind of page a tag says it is; cytometers write a text there, which says nothing."""
    return tiff.integer(directory, tag, 0) if directory.entries.get(tag, (0, 0))[:2] in ((3, 1), (4, 1)) else 0


def _check_orientation(tiff: TiffDirectories, directory: Directory) -> None:
    """Refuse an image that is stored otherwise than it is seen; 0 is what some write who mean nothing by it."""
    found = tiff.integer(directory, ORIENTATION, 1)
    if found in (0, 1):
        return
    if found not in _ORIENTATIONS:
        raise tiff.damaged(f"orientation {found}, expected 1 to 8")
    raise tiff.refused(
        f"orientation {found}: the image is stored with {_ORIENTATIONS[found]}, and some programs turn it, "
        "others do not; if the stored rows are right, set the tag with: tiffset -s 274 1 FILE; if not, save "
        "the image turned"
    )


def _check_only_image(tiff: TiffDirectories, directory: Directory) -> None:
    """Refuse a page behind which further planes lie that have no page of their own.

    ImageJ and MetaMorph write stacks so; a decoder that goes by pages would read the first plane and no other.
    """
    if IMAGE_DEPTH in directory.entries and (depth := tiff.integer(directory, IMAGE_DEPTH)) > 1:
        raise tiff.refused(f"a volume of {depth} planes in one page; save each plane as a page or a file")
    planes = directory.entries.get(METAMORPH_PLANES, (0, 1))[1]
    if planes > 1:
        raise tiff.refused(f"a MetaMorph stack of {planes} planes in one page; save each plane as a page or a file")
    kind, count, _ = directory.entries.get(DESCRIPTION, (0, 0, b""))
    if kind != 2 or not 12 < count <= MAX_VALUES or directory.next_offset:
        return
    start = tiff.begin(directory, DESCRIPTION, 8)
    if start not in (b"ImageJ=1", b'{"shape"'):
        return
    lines = tiff.text(directory, DESCRIPTION, MAX_VALUES)
    if start == b"ImageJ=1":
        stated = [line[7:] for line in lines.splitlines() if line.startswith(b"images=")]
        if stated and stated[0].strip() not in (b"1", b""):
            text = stated[0].decode("ascii", "replace")
            raise tiff.refused(f"an ImageJ stack of {text} images in one page; save each as a page or a file")
    elif b'"truncated": true' in lines:
        raise tiff.refused("a stack in one page (written with 'truncate'); save each plane as a page or a file")
