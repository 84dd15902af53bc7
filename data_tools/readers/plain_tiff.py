"""The pixels of the simplest TIFFs, without a library's cost a file and faster than libraries decode them.

A plain file has one directory with one greyscale image in strips, as it is or as LZW: what imaging cytometers write
100,000 times, and Phenix for every image. Wrong tags that do not matter for the pixels (cytometers write FillOrder 0)
are passed over in silence. Anything else is ``None``, for ``readers.base`` to decode or to refuse with its own words.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_tools.readers.lzw import SLACK, decode_strip
from data_tools.readers.tiff_directory import (
    BITS_PER_SAMPLE,
    COMPRESSION,
    IMAGE_LENGTH,
    IMAGE_WIDTH,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES_PER_PIXEL,
    BytesSource,
    TiffDirectories,
)
from framework.errors import InputError

_PHOTOMETRIC, _BLACK_IS_ZERO, _TILE_WIDTH, _PREDICTOR, _MAX_BYTES = 262, 1, 322, 317, 1 << 26
_FILL_ORDER, _LOW_BIT_FIRST = 266, 2
_AS_IT_IS, _LZW, _DIFFERENCES, _MOST_LZW = 1, 5, 2, 4096

Bytes = npt.NDArray[np.uint8]
Plain = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
_KINDS = {(8, 1): "u1", (16, 1): "u2", (32, 3): "f4"}
"""(bits a pixel, TIFF's sample format) -> type"""


def read_plain(file: Path) -> Plain | None:
    """Return the image of a plain TIFF, uint8, uint16 or float32 (H, W), or None where the file is not one."""
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError:
        return None
    return decode_plain(data) if len(data) <= _MAX_BYTES else None


def decode_plain(data: bytes) -> Plain | None:
    """Decode the bytes of a plain TIFF; None where they are not one, or damaged."""
    try:
        tiff = TiffDirectories("", BytesSource(data))
        page = tiff.directory(tiff.first)
        bits = tiff.integer(page, BITS_PER_SAMPLE, 1)
        kind = _KINDS.get((bits, tiff.integer(page, SAMPLE_FORMAT, 1)))
        packed = tiff.integer(page, COMPRESSION, _AS_IT_IS) == _LZW
        differences = packed and kind != "f4" and tiff.integer(page, _PREDICTOR, 1) == _DIFFERENCES
        plain = (
            page.next_offset == 0
            and _TILE_WIDTH not in page.entries
            and kind is not None
            and tiff.integer(page, COMPRESSION, _AS_IT_IS) in (_AS_IT_IS, _LZW)
            and tiff.integer(page, SAMPLES_PER_PIXEL, 1) == 1
            and (differences or tiff.integer(page, _PREDICTOR, 1) == 1)
            and tiff.integer(page, _FILL_ORDER, 1) != _LOW_BIT_FIRST
            and tiff.integer(page, _PHOTOMETRIC, _BLACK_IS_ZERO) == _BLACK_IS_ZERO
        )
        if not plain:
            return None
        height, width = tiff.integer(page, IMAGE_LENGTH), tiff.integer(page, IMAGE_WIDTH)
        view = memoryview(data)
        strips = [view[offset : offset + count] for offset, count in tiff.strips(page)]
        rows = tiff.integer(page, ROWS_PER_STRIP, height)
    except InputError:
        return None
    pixels = _unpacked(strips, height, rows, width * bits // 8) if packed else b"".join(strips)
    if pixels is None or height * width * bits != 8 * len(pixels):
        return None
    stored = np.dtype(f"{tiff.order}{kind}")
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
