"""The directories (IFDs) of TIFF-like files, with a limit on every length that the file states.

Imaging cytometers write TIFFs that libraries reject or warn about (wrong tags, unknown compressions). This module reads
only what every such file has, a header and a chain of directories, from bytes in memory or from an open file. A damaged
file ends in an ``InputError`` that names it; no number in it makes the reader allocate or loop beyond the file's size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import add
from typing import Protocol

from framework.errors import InputError
from framework.files.failures import HEAD_BYTES, recognised

IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION = 256, 257, 258, 259
STRIP_OFFSETS, SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_BYTE_COUNTS, SAMPLE_FORMAT = 273, 277, 278, 279, 339

MAX_ENTRIES = 512
"""Tags a directory may have; instruments write about 25."""
MAX_VALUES = 65_536
"""Integers a tag may have, as strips of an image."""

_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # BYTE, SHORT, LONG, IFD, LONG8, IFD8
_FORMS = {  # of a count of tags, a tag, an offset
    (order, big): (order + ("Q" if big else "H"), order + ("HHQ8s" if big else "HHI4s"), order + ("Q" if big else "I"))
    for order in "<>"
    for big in (False, True)
}
_SINGLE = {
    order: {3: struct.Struct(order + "H").unpack_from, 4: struct.Struct(order + "I").unpack_from} for order in "<>"
}
_TEXTS = {1, 2, 7}  # BYTE, ASCII, UNDEFINED: all three are found around text


class TiffError(InputError):
    """A TIFF that cannot be used.

    Attributes:
        what: what is wrong, without the file.
        damaged: whether the file is damaged; else it is whole, and holds what is not read.
    """

    def __init__(self, text: str, what: str = "", damaged: bool = True) -> None:
        super().__init__(text)
        self.what, self.damaged = what or text, damaged


class Source(Protocol):
    """Bytes with a known end."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at ``offset``, fewer at the end of the file."""
        ...


class BytesSource:
    """A file that is in memory as a whole."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes of a range, fewer at the end."""
        return self._data[offset : offset + length]


class DescriptorSource:
    """An open file, read by position: any number of threads may share it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes of a range, fewer at the end."""
        return os.pread(self._descriptor, length, offset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """One IFD.

    Attributes:
        offset: where it begins in the file.
        size: its bytes, tags that appear twice included.
        entries: tag -> (type, count, the four bytes, of BigTIFF eight, that hold the value or its offset).
        next_offset: where the next one begins, 0 for none.
    """

    offset: int
    size: int
    entries: Mapping[int, tuple[int, int, bytes]]
    next_offset: int


class TiffDirectories:
    """The chain of directories of one file.

    Args:
        name: the file, for messages.
        source: its bytes.

    Attributes:
        order: byte order, as ``struct`` writes it.
        big: whether it is a BigTIFF, whose offsets have 64 bits.
        head_bytes: length of the header, in which nothing else can lie.
        first: offset of the first directory.

    Raises:
        TiffError: no TIFF header.
    """

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self.source = source
        head = source.read(0, 16)
        if not head:
            raise self.damaged("expected a TIFF header, the file has 0 bytes")
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            raise self._no_tiff(head)
        self.order = order
        version, self.first = struct.unpack(order + "HI", head[2:8])
        if version not in (42, 43):
            raise self.damaged(f"expected TIFF version 42 or 43 (BigTIFF), found {version}")
        self.big = version == 43
        self.head_bytes = 16 if self.big else 8
        self._count, self._entry, self._offset = _FORMS[order, self.big]
        self._lengths = (8, 20, 8) if self.big else (2, 12, 4)
        self._single = _SINGLE[order]
        if self.big:
            if len(head) < 16 or head[4:8] != struct.pack(order + "HH", 8, 0):
                raise self.damaged(f"expected the header of a BigTIFF, found {head!r}")
            (self.first,) = struct.unpack(order + "Q", head[8:])

    def _no_tiff(self, head: bytes) -> TiffError:
        """Return the error for a file of another kind, which is named where it is known."""
        kind = recognised(self.source.read(0, HEAD_BYTES))
        if kind is None or head[:2] in (b"II", b"MM"):
            return self.damaged(f"expected a TIFF header, found {head[:4]!r}")
        what = f"expected a TIFF, found {kind.split('; ')[0]}"
        return TiffError(f"{self.name}: {what}; export the file again in the right format", what, damaged=False)

    def damaged(self, what: str) -> TiffError:
        """Return the error that says what is wrong with the file."""
        return TiffError(f"{self.name}: {what}; export or copy the file again", what)

    def refused(self, what: str) -> TiffError:
        """Return the error that says what the file holds that is not read."""
        return TiffError(f"{self.name}: {what}; save the image as greyscale TIFF", what, damaged=False)

    def read(self, offset: int, length: int, what: str) -> bytes:
        """Return exactly ``length`` bytes at ``offset``.

        Raises:
            InputError: the range does not lie in the file.
        """
        self._check_range(offset, length, what)
        data = self.source.read(offset, length)
        if len(data) != length:
            raise self.damaged(f"{what}: the file became shorter while it was read")
        return data

    def _check_range(self, offset: int, length: int, what: str) -> None:
        if offset < 0 or length < 0 or offset + length > self.source.size:
            raise self.damaged(f"{what} would end at byte {offset + length}, the file ends at {self.source.size}")

    def directory(self, offset: int) -> Directory:
        """Read the directory at ``offset``."""
        what = f"the directory at byte {offset}"
        if offset < self.head_bytes:
            raise self.damaged(f"{what} would lie in the header")
        lead, entry, tail = self._lengths
        (count,) = struct.unpack(self._count, self.read(offset, lead, what))
        if not 0 < count <= MAX_ENTRIES:
            raise self.damaged(f"{what} has {count} tags, expected 1 to {MAX_ENTRIES}")
        body = self.read(offset + lead, entry * count + tail, what)
        entries = {
            tag: (kind, length, value)
            for tag, kind, length, value in struct.iter_unpack(self._entry, body[: entry * count])
        }
        (following,) = struct.unpack(self._offset, body[-tail:])
        return Directory(offset=offset, size=lead + len(body), entries=entries, next_offset=following)

    def chain(self) -> Iterator[Directory]:
        """Walk all directories.

        Raises:
            InputError: a directory lies outside the file, or they form a circle or overlap.
        """
        offset, used = self.first, 8
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise self.damaged(f"the directories of pages form a circle at byte {offset}")
            seen.add(offset)
            directory = self.directory(offset)
            used += directory.size
            if used > self.source.size:
                raise self.damaged("its directories overlap")
            yield directory
            offset = directory.next_offset

    def integers(self, directory: Directory, tag: int, limit: int = MAX_VALUES) -> tuple[int, ...]:
        """Return the integers of a tag, empty where the directory has no such tag.

        Raises:
            InputError: another type, or more values than the file can hold.
        """
        if tag not in directory.entries:
            return ()
        kind, count, value = directory.entries[tag]
        if kind not in _INTEGERS:
            raise self.damaged(f"tag {tag} at byte {directory.offset}: expected integers, found TIFF type {kind}")
        if count > limit:
            raise self.damaged(f"tag {tag} at byte {directory.offset}: {count} values, at most {limit} are read")
        form = f"{self.order}{count}{_INTEGERS[kind]}"
        numbers: tuple[int, ...] = struct.unpack(form, self._value(value, struct.calcsize(form), tag))
        return numbers

    def integer(self, directory: Directory, tag: int, default: int | None = None) -> int:
        """Return the first integer of a tag.

        Raises:
            InputError: there is none and no default.
        """
        entry = directory.entries.get(tag)
        if entry is None and default is not None:
            return default
        if entry is not None and entry[1] == 1 and entry[0] in self._single:  # most tags; an image has twenty of them
            return int(self._single[entry[0]](entry[2])[0])
        found = self.integers(directory, tag)
        if not found and default is None:
            raise self.damaged(f"the directory at byte {directory.offset} has no value of tag {tag}")
        return found[0] if found else int(default or 0)

    def text(self, directory: Directory, tag: int, limit: int) -> bytes:
        """Return the bytes of a text tag up to the first zero byte, empty where there is none.

        Raises:
            InputError: it is longer than ``limit`` or than the file, or no text.
        """
        if tag not in directory.entries:
            return b""
        kind, count, value = directory.entries[tag]
        if kind not in _TEXTS:
            raise self.damaged(f"tag {tag} at byte {directory.offset}: expected text, found TIFF type {kind}")
        if count > limit:
            raise self.damaged(f"tag {tag} at byte {directory.offset}: {count} bytes of text, at most {limit} are read")
        return self._value(value, count, tag).split(b"\0", 1)[0]

    def whole(self, directory: Directory, tag: int, length: int) -> bytes:
        """Return the ``length`` bytes of a tag's value.

        Raises:
            InputError: they do not lie in the file.
        """
        return self._value(directory.entries[tag][2], length, tag)

    def begin(self, directory: Directory, tag: int, length: int) -> bytes:
        """Return the first bytes of a tag that is stored by its offset, fewer at the end of the file."""
        (offset,) = struct.unpack(self._offset, directory.entries[tag][2])
        return self.source.read(offset, length)

    def strips(self, directory: Directory) -> list[tuple[int, int]]:
        """Return where the strips of an image are stored: (offset, bytes) each.

        Raises:
            InputError: no strips, strips outside the file, or more bytes than the file has.
        """
        offsets = self.integers(directory, STRIP_OFFSETS)
        counts = self.integers(directory, STRIP_BYTE_COUNTS)
        if not offsets or len(offsets) != len(counts):
            raise self.damaged(
                f"the image at byte {directory.offset} has {len(offsets)} strip offsets and {len(counts)} lengths"
            )
        return self.ranges(directory, offsets, counts)

    def ranges(self, directory: Directory, offsets: tuple[int, ...], counts: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return (offset, bytes) of each piece of pixels.

        Raises:
            InputError: a piece outside the file or in its header or without a byte, or more bytes than the file has.
        """
        end = max(map(add, offsets, counts))
        if end > self.source.size:
            raise self.damaged(f"pixel data end at byte {end}, the file at {self.source.size}")
        if sum(counts) > self.source.size:
            raise self.damaged(f"the image at byte {directory.offset} states {sum(counts)} bytes of pixels")
        if min(offsets) < self.head_bytes:
            raise self.damaged(f"pixel data begin at byte {min(offsets)}, in the header of the file")
        if min(counts) < 1:
            raise self.damaged(f"the image at byte {directory.offset} has an empty strip")
        return list(zip(offsets, counts, strict=True))

    def _value(self, value: bytes, length: int, tag: int) -> bytes:
        if length <= len(value):
            return value[:length]
        (offset,) = struct.unpack(self._offset, value)
        return self.read(offset, length, f"tag {tag}")
