"""The pixels of the simplest TIFFs, without what a library costs for each file, and decoded faster.

A plain file has one directory with one greyscale image in strips, as it is or as LZW: what imaging cytometers write
100,000 times, and Phenix for every image. Wrong tags that do not matter for the pixels (cytometers write FillOrder 0)
are passed over in silence. Anything else is ``None``, for ``formats.tiff`` to decode or to refuse with its own words;
``tiff_page`` has said before what is refused.

LZW as TIFF writes it (TIFF 6.0, section 13) is compiled by numba: two to three times as fast as libtiff on noise.
Microscopes write LZW, and decoding is most of what an ingest costs. Three things make it fast. Every string of the
table is a piece of the output that is already written, so the table holds an address and a length, and no string is
ever built. Its next entry, which is the string just written and the byte after it, is known before that byte is. A
string is copied as eight bytes whatever its length, since lengths cannot be foretold and a wrong guess costs more than
seven bytes. Four codes are cut from each word of the input, and the width of a code is looked at only where it changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.formats.tiff_directory import BytesSource, TiffDirectories
from data_tools.formats.tiff_page import DIFFERENCES, LZW, NO_PREDICTOR, RAW, Page, read_page
from framework.compiled import compiled, load_word, store_word, swapped
from framework.errors import InputError
from framework.files.failures import read_bytes

Bytes = npt.NDArray[np.uint8]
SLACK = 8 * 1024
"""Bytes after its end that a strip's decoding may write to: a string is at most as long as the table, rounded up."""

_U = np.uint64
_CLEAR, _FIRST_WIDTH, _LAST_WIDTH = _U(256), _U(9), _U(12)
_BEFORE_FIRST = _U(257)  # the end of information, last of the codes that are not strings
# Encoders clear at 4,094 entries; one that does not writes old strings on, and its new ones are of no use to anybody.
_ENTRIES = 8_000
_CODES_PER_WORD = 4  # of 12 bits at most, after up to 7 bits of the code before
_LENGTH_BITS, _LENGTH = _U(16), _U(0xFFFF)
_ZERO, _ONE, _THREE, _SEVEN, _EIGHT, _WORD, _BYTE = _U(0), _U(1), _U(3), _U(7), _U(8), _U(64), _U(0xFF)


def decode_strip(stored: Bytes, out: Bytes, start: int, size: int) -> bool:
    """Decode a strip into ``out[start : start + size]``.

    Args:
        stored: uint8 (n,), the strip as the file has it.
        out: uint8 (m,) with ``SLACK`` bytes or more after the strip, which may be overwritten.
        start: first byte of the strip.
        size: bytes of the strip's pixels.

    Returns:
        Whether it held exactly ``size`` bytes. What follows them in ``stored`` is not looked at, as in libtiff.

    Raises:
        ValueError: ``out`` is too short.
    """
    if start < 0 or start + size + SLACK > len(out):
        raise ValueError(f"a strip of {size} bytes at {start} needs an array of {start + size + SLACK}, has {len(out)}")
    if len(stored) < 2 or stored[0] != 0x80 or stored[1] & 0x80:
        return False  # every strip begins with a clear; the ancient kind that counts bits from the other end does not
    literals = np.arange(256 + 8, dtype=np.uint8)
    table = np.zeros(_ENTRIES + 1, dtype=np.uint64)
    table[:256] = ((np.arange(256, dtype=np.uint64) + _U(literals.ctypes.data)) << _LENGTH_BITS) | _ONE
    begin = _U(out.ctypes.data + start)
    return bool(_decode(np.ascontiguousarray(stored), begin, begin + _U(size), table))


@compiled
def _word(data: Any, byte: Any) -> Any:
    """Return eight bytes of the input as a number, the first the highest; zeros after its end."""
    if byte + _EIGHT <= _U(len(data)):
        return swapped(load_word(_U(data.ctypes.data) + byte))
    word = _ZERO
    for i in range(8):
        at = byte + _U(i)
        word = (word << _EIGHT) | (_U(data[at]) if at < _U(len(data)) else _ZERO)
    return word


@compiled
def _copy(source: Any, target: Any, length: Any, newest: Any) -> None:
    """Write a string; ``newest``: it is the one whose last byte is its own first, written now."""
    first = load_word(source)
    store_word(target, first)
    if length > _EIGHT:
        i = _EIGHT
        while i < length:
            store_word(target + i, load_word(source + i))
            i += _EIGHT
    elif newest:
        last = target + length - _ONE
        store_word(last, (load_word(last) & ~_BYTE) | (first & _BYTE))


@compiled
def _decode(data: Any, begin: Any, end: Any, table: Any) -> Any:
    """Decode into the bytes from address ``begin`` to ``end``; return whether they are full exactly.

    ``table[code]`` is address << 16 | length; codes that are not strings are 0. It is one entry ahead of the encoder's:
    an entry is made when its string is but for the last byte written.
    """
    bits = _U(len(data)) * _EIGHT
    at, here = _ZERO, begin
    width, newest, last = _FIRST_WIDTH, _BEFORE_FIRST, (_ONE << _FIRST_WIDTH) - _ONE
    while True:
        # Codes of one width: up to entry ``stop``, or as many as are left.
        stop = min(last, newest + (bits - at) // width)
        word, held, cleared = _ZERO, 0, False
        while newest < stop and here < end:
            if held == 0:
                word, held = _word(data, at >> _THREE) << (at & _SEVEN), _CODES_PER_WORD
            code = word >> (_WORD - width)
            word <<= width
            held -= 1
            at += width
            entry = table[code]
            if entry == _ZERO:
                cleared = code == _CLEAR
                break
            if code > newest:
                return False
            length = entry & _LENGTH
            _copy(entry >> _LENGTH_BITS, here, length, code == newest)
            newest += _ONE
            table[newest] = (here << _LENGTH_BITS) | (length + _ONE)
            here += length
        if here >= end:
            return here == end
        if cleared:
            width, newest = _FIRST_WIDTH, _BEFORE_FIRST
        elif newest == last and width < _LAST_WIDTH:
            width += _ONE
        else:
            return False
        last = (_ONE << width) - _ONE if width < _LAST_WIDTH else _U(_ENTRIES)


_MAX_BYTES = 1 << 26
_MOST_LZW = 4096

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
