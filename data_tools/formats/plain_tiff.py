"""The pixels of the simplest TIFFs, without what a library costs for each file, and decoded faster.

A plain file has one directory with one greyscale image in strips, as it is or as LZW: what imaging cytometers write
100,000 times, and Phenix for every image. Wrong tags that do not matter for the pixels (cytometers write FillOrder 0)
are passed over in silence. Anything else is ``None``, for ``readers.tiff`` to decode or to refuse with its own words;
``tiff_page`` has said before what is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_tools.formats.image_file import read_bytes
from data_tools.formats.lzw import SLACK, decode_strip
from data_tools.formats.tiff_directory import BytesSource, TiffDirectories
from data_tools.formats.tiff_page import DIFFERENCES, LZW, NO_PREDICTOR, RAW, Page, read_page
from framework.errors import InputError

_MAX_BYTES = 1 << 26
_MOST_LZW = 4096

Bytes = npt.NDArray[np.uint8]
Plain = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
_KINDS = {(8, False): "u1", (16, False): "u2", (32, True): "f4"}
"""(bits a pixel, whether it is a float) -> type"""


def read_plain(file: Path) -> Plain | None:
    """Return the image of a plain TIFF, uint8, uint16 or float32 (H, W), or None where the file is not one."""
    try:
        data = read_bytes(file, _MAX_BYTES)
    except (OSError, InputError):
        return None
    return decode_plain(data)


def decode_plain(data: bytes) -> Plain | None:
    """Decode the bytes of a plain TIFF; None where they are not one, or damaged."""
    try:
        tiff = TiffDirectories("", BytesSource(data))
        directory = tiff.directory(tiff.first)
        if directory.next_offset:
            return None
        page = read_page(tiff, directory)
    except InputError:
        return None
    return decode_page(data, tiff.order, page)


def decode_page(data: bytes, order: str, page: Page) -> Plain | None:
    """Decode a page that was checked; None where it is not a plain one, or damaged."""
    kind, packed = _KINDS.get((page.bits, page.is_float)), page.compression == LZW
    differences = packed and not page.is_float and page.predictor == DIFFERENCES
    if (
        kind is None
        or page.tiled
        or page.compression not in (RAW, LZW)
        or page.samples != 1
        or not (differences or page.predictor == NO_PREDICTOR)
        or page.low_bit_first
        or page.turned
        or page.signed
        or page.left_out
    ):
        return None
    height, width, bits = page.height, page.width, page.bits
    view = memoryview(data)
    strips = [view[offset : offset + count] for offset, count in page.pieces]
    pixels = _unpacked(strips, height, page.rows, width * bits // 8) if packed else b"".join(strips)
    if pixels is None or height * width * bits != 8 * len(pixels):
        return None
    stored = np.dtype(f"{order}{kind}")
    native = stored.newbyteorder("=")
    image: Plain = np.frombuffer(pixels, dtype=stored).reshape(height, width).astype(native, copy=False)
    return np.add.accumulate(image, axis=1, dtype=native) if differences else image


def _unpacked(strips: list[memoryview], height: int, rows: int, row_bytes: int) -> Bytes | None:
    """Return the bytes of an LZW image with ``rows`` rows a strip; None where a strip holds more or less than that."""
    rows, size = min(height, rows), height * row_bytes
    if rows < 1 or len(strips) != -(-height // rows) or size > _MOST_LZW * sum(map(len, strips)):
        return None
    out = np.empty(size + SLACK, dtype=np.uint8)
    for number, strip in enumerate(strips):
        start = number * rows * row_bytes
        here = min(rows * row_bytes, size - start)
        if not decode_strip(np.frombuffer(strip, dtype=np.uint8), out, start, here):
            return None
    return out[:size]
