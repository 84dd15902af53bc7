"""The two compressions of Amnis ``.cif`` files, decoded with whole-array operations.

30817 (images): every pixel is a difference from its prediction, written as a little-endian string of nibbles with three
data bits and a continue bit each; 30818 (masks): pairs of (value, run length - 1). Both decoders refuse data that do
not fill the image before they allocate it: the result is never larger than a fixed multiple of the stored bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]

GREYSCALE, BITMASK = 30817, 30818
MAX_PIXELS = 1 << 25
"""Pixels an image may have, all channels together; a cell of 12 channels has about a tenth of a million."""
MAX_NIBBLES = 10
"""Nibbles of one value; differences of 16-bit pixels need at most 6."""


class CodecError(ValueError):
    """Compressed data that do not give the stated image."""


def decode_greyscale(data: bytes, height: int, width: int) -> U16:
    """Decode compression 30817.

    With d the stored difference, ``x[y, x] = d + x[y-1, x] + x[y, x-1] - x[y-1, x-1]`` modulo 2^16 and zero outside the
    image, so the image is the two-dimensional running sum of the differences.

    Args:
        data: nibbles, the low one of each byte first; bytes behind the last pixel are padding.
        height: H.
        width: W over all channels.

    Returns:
        uint16 (H, W).

    Raises:
        CodecError: fewer values than pixels, a value of more than ``MAX_NIBBLES``, or too large an image.
    """
    pixels = _pixels(height, width)
    if pixels > 2 * len(data):
        raise CodecError(f"{len(data)} bytes cannot hold {pixels} pixels")
    stored = np.frombuffer(data, dtype=np.uint8)
    nibbles = np.empty(2 * len(stored), dtype=np.uint8)
    nibbles[0::2], nibbles[1::2] = stored & 0x0F, stored >> 4
    last = np.flatnonzero(nibbles < 8)[:pixels]
    if len(last) < pixels:
        raise CodecError(f"the data end after {len(last)} of {pixels} pixels")
    first = np.empty_like(last)
    first[0], first[1:] = 0, last[:-1] + 1
    differences = _values(nibbles, first, last - first + 1)
    image = differences.astype(np.uint16).reshape(height, width)
    np.cumsum(image, axis=0, dtype=np.uint16, out=image)
    np.cumsum(image, axis=1, dtype=np.uint16, out=image)
    return image


def decode_bitmask(data: bytes, height: int, width: int) -> U8:
    """Decode compression 30818.

    Args:
        data: pairs of (value, run length - 1).
        height: H.
        width: W over all channels.

    Returns:
        uint8 (H, W).

    Raises:
        CodecError: the runs do not add up to the image, a byte is left over, or too large an image.
    """
    pixels = _pixels(height, width)
    if len(data) % 2:
        raise CodecError(f"{len(data)} bytes are not pairs of value and run length")
    pairs = np.frombuffer(data, dtype=np.uint8).reshape(-1, 2)
    runs = pairs[:, 1].astype(np.int64) + 1
    if int(runs.sum()) != pixels:
        raise CodecError(f"the runs hold {int(runs.sum())} pixels, the mask {pixels}")
    return np.repeat(pairs[:, 0], runs).reshape(height, width)


def _pixels(height: int, width: int) -> int:
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise CodecError(f"an image of {height} x {width} pixels; expected 1 to {MAX_PIXELS}")
    return height * width


def _values(nibbles: U8, first: npt.NDArray[np.intp], length: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """Put the three bits of each nibble together and extend the sign from bit 2 of the last one."""
    longest = int(length.max())
    if longest > MAX_NIBBLES:
        raise CodecError(f"a value of {longest} nibbles, at most {MAX_NIBBLES} are expected")
    values = (nibbles[first] & 7).astype(np.int32)
    part = np.flatnonzero(length > 1)
    for place in range(1, longest):
        values[part] |= (nibbles[first[part] + place].astype(np.int32) & 7) << (3 * place)
        part = part[length[part] > place + 1]
    negative = (nibbles[first + length - 1] & 4) != 0
    values[negative] -= np.int32(1) << (3 * length[negative]).astype(np.int32)
    return values
