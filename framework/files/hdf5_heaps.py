"""The global heaps of an HDF5 file, where text of any length lies: checked before the HDF5 library walks them.

The library moves from object to object by the size each one declares. A size of 0 in free space, as a zeroed block of
a disk leaves it, keeps it in one place for ever. Source: HDF5 File Format Specification 3.0, section III.E.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_HEADER_BYTES = 16
"""Of a collection, and of each object in it."""
_LEAST_BYTES = 4096
"""Of a collection."""
_SEARCHED_BYTES = 1 << 28
"""A file of up to twice this size is searched whole, a larger one at its beginning and its end."""


def check_heaps(file: Path | str) -> None:
    """Walk every global heap collection of a file as the HDF5 library would.

    Raises:
        ValueError: an object in one of them cannot have the size it declares; with the offset in the file.
        OSError: the file cannot be read.
    """
    with Path(file).open("rb") as stream:
        if not stream.seek(0, 2):
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size = len(data)
            if size <= 2 * _SEARCHED_BYTES:
                _check(data, 0, size)
            else:
                _check(data, 0, _SEARCHED_BYTES)
                _check(data, size - _SEARCHED_BYTES, size)


def _check(data: mmap.mmap, begin: int, end: int) -> None:
    place = data.find(_SIGNATURE, begin, end)
    while place >= 0:
        (declared,) = struct.unpack_from("<Q", data[place + 8 : place + 16].ljust(8, b"\0"))
        if _LEAST_BYTES <= declared <= len(data) - place:
            _walk(data[place : place + declared], place)
        place = data.find(_SIGNATURE, place + 1, end)


def _walk(collection: bytes, place: int) -> None:
    at = _HEADER_BYTES
    while at + _HEADER_BYTES <= len(collection):
        number, _, _, size = struct.unpack_from("<HHIQ", collection, at)
        # Free space (number 0) counts its own header, every other object comes after one.
        step = size if number == 0 else _HEADER_BYTES + -(-size // 8) * 8
        if step < _HEADER_BYTES or step > len(collection) - at:
            raise ValueError(f"damaged: an object of the heap at byte {place + at} declares {size} bytes")
        at += step
