"""The pixels of the simplest TIFFs, without a library's cost a file: imaging cytometers write 100,000 of them.

A plain file has one directory with one uncompressed greyscale image. Wrong tags that do not matter for the pixels
(cytometers write FillOrder 0) are passed over in silence. Anything else is ``None``, for ``readers.base`` to decode or
to refuse with its own words.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_tools.readers.tiff_directory import (
    BITS_PER_SAMPLE,
    COMPRESSION,
    IMAGE_LENGTH,
    IMAGE_WIDTH,
    SAMPLE_FORMAT,
    SAMPLES_PER_PIXEL,
    BytesSource,
    TiffDirectories,
)
from framework.errors import InputError

_PHOTOMETRIC, _BLACK_IS_ZERO, _TILE_WIDTH, _PREDICTOR, _MAX_BYTES = 262, 1, 322, 317, 1 << 26
_FILL_ORDER, _LOW_BIT_FIRST = 266, 2

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
        plain = (
            page.next_offset == 0
            and _TILE_WIDTH not in page.entries
            and kind is not None
            and tiff.integer(page, COMPRESSION, 1) == 1
            and tiff.integer(page, SAMPLES_PER_PIXEL, 1) == 1
            and tiff.integer(page, _PREDICTOR, 1) == 1
            and tiff.integer(page, _FILL_ORDER, 1) != _LOW_BIT_FIRST
            and tiff.integer(page, _PHOTOMETRIC, _BLACK_IS_ZERO) == _BLACK_IS_ZERO
        )
        if not plain:
            return None
        shape = tiff.integer(page, IMAGE_LENGTH), tiff.integer(page, IMAGE_WIDTH)
        pixels = tiff.strips(page)
    except InputError:
        return None
    if shape[0] * shape[1] * bits != 8 * len(pixels):
        return None
    stored = np.dtype(f"{tiff.order}{kind}")
    image: Plain = np.frombuffer(pixels, dtype=stored).reshape(shape).astype(stored.newbyteorder("="), copy=False)
    return image
