"""Ways to spoil the bytes of any file; each is a pure function of the bytes and a random generator."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable

import numpy as np

Generator = np.random.Generator
Mutation = Callable[[bytes, Generator], bytes]

_FOREIGN = {
    "xlsx": b"PK\x03\x04\x14\x00\x06\x00\x08\x00[Content_Types].xml",
    "parquet": b"PAR1" + bytes(64) + b"PAR1",
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(600),
    "sqlite": b"SQLite format 3\x00" + bytes(200),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93.",
    "gzip": gzip.compress(b"hello", mtime=0),
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "json": b'{"a": [1, 2, {"b": NaN}]}',
    "deep json": b"[" * 100_000,
}


def truncated(data: bytes, rng: Generator) -> bytes:
    """Cut the file short."""
    return data[: int(rng.integers(0, max(1, len(data))))]


def flipped(data: bytes, rng: Generator) -> bytes:
    """Change 1 to 8 bytes anywhere."""
    spoiled = bytearray(data)
    for place in rng.integers(0, max(1, len(data)), int(rng.integers(1, 9))):
        if spoiled:
            spoiled[int(place)] ^= int(rng.integers(1, 256))
    return bytes(spoiled)


def flipped_head(data: bytes, rng: Generator) -> bytes:
    """Change 1 to 4 of the first 512 bytes, where headers lie."""
    return flipped(data[:512], rng)[:512] + data[512:]


def flipped_tail(data: bytes, rng: Generator) -> bytes:
    """Change some of the last 512 bytes, where footers lie."""
    return data[:-512] + flipped(data[-512:], rng)


def zeroed(data: bytes, rng: Generator) -> bytes:
    """Zeros in place of a block, as a disk leaves them after a crash."""
    if not data:
        return data
    start = int(rng.integers(0, len(data)))
    stop = min(len(data), start + int(rng.integers(1, 4097)))
    return data[:start] + bytes(stop - start) + data[stop:]


def doubled(data: bytes, rng: Generator) -> bytes:
    """A block appears twice."""
    start, stop = sorted(int(place) for place in rng.integers(0, len(data) + 1, 2))
    return data[:stop] + data[start:stop] + data[stop:]


def without_a_block(data: bytes, rng: Generator) -> bytes:
    """A block is missing."""
    start = int(rng.integers(0, max(1, len(data))))
    return data[:start] + data[start + int(rng.integers(1, 257)) :]


def huge_number(data: bytes, rng: Generator) -> bytes:
    """A number of 4 or 8 bytes becomes a very large or negative one, as a size that a header declares."""
    if len(data) < 16:
        return data
    place = int(rng.integers(0, min(len(data) - 8, 4096)))
    number = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 1 << 62, (1 << 64) - 1)[int(rng.integers(0, 5))]
    packed = struct.pack("<Q", number) if number >> 32 else struct.pack("<I", number)
    return data[:place] + packed + data[place + len(packed) :]


def pointer_back(data: bytes, rng: Generator) -> bytes:
    """A place of 4 or 8 bytes names a place before itself, as a list of offsets that leads in rounds."""
    if len(data) < 32:
        return data
    width = (4, 8)[int(rng.integers(2))]
    place = int(rng.integers(0, min(len(data) - 8, 1 << 16))) // 2 * 2
    target = int(rng.integers(0, place + 1))
    return data[:place] + target.to_bytes(width, "little") + data[place + width :]


def exchanged(data: bytes, rng: Generator) -> bytes:
    """Two blocks of the file have changed places."""
    size = max(1, min(512, len(data) // 4))
    first, second = sorted(int(place) for place in rng.integers(0, max(1, len(data) - size), 2))
    if second - first < size:
        return data
    parts = data[:first], data[second : second + size], data[first + size : second], data[first : first + size]
    return b"".join((*parts, data[second + size :]))


def cut_at_a_seam(data: bytes, rng: Generator) -> bytes:
    """Cut where a copy or a download stops: a byte before the end, at a block, at a line, in the middle."""
    lines = [place + 1 for place, byte in enumerate(data[: 1 << 14]) if byte == 10]
    seams = [len(data) - 1, len(data) - 8, len(data) // 2, 4096, 512, 64, 8, 4, 1, *lines[:3], *lines[-3:]]
    fitting = [seam for seam in seams if 0 < seam < len(data)]
    return data[: fitting[int(rng.integers(len(fitting)))]] if fitting else data


def followed(data: bytes, rng: Generator) -> bytes:
    """Something follows the end: zeros, the file again, the page of a server."""
    return data + (bytes(4096), data, b"<html>502</html>", b"\n\x1a")[int(rng.integers(4))]


def packed_under_its_name(data: bytes, rng: Generator) -> bytes:
    """Packed with gzip, once or twice, whatever the name says."""
    once = gzip.compress(data, mtime=0)
    return gzip.compress(once, mtime=0) if rng.integers(2) else once


def nul_bytes(data: bytes, rng: Generator) -> bytes:
    """NUL bytes in between."""
    place = int(rng.integers(0, len(data) + 1))
    return data[:place] + bytes(int(rng.integers(1, 9))) + data[place:]


def number_in_words(data: bytes, rng: Generator) -> bytes:
    """A number that is written out becomes a very large, a negative or no number."""
    runs = [match.span() for match in re.finditer(rb"[0-9]+(\.[0-9]+)?", data[: 1 << 16])]
    if not runs:
        return data
    begin, end = runs[int(rng.integers(len(runs)))]
    new = (b"99999999999999999999", b"-1", b"1e999", b"NaN", b"0", b"", b"1:30", b"0x10")[int(rng.integers(8))]
    return data[:begin] + new + data[end:]


def foreign(data: bytes, rng: Generator) -> bytes:
    """A file of another format under this name."""
    return list(_FOREIGN.values())[int(rng.integers(0, len(_FOREIGN)))]


def empty(data: bytes, rng: Generator) -> bytes:
    """Nothing."""
    return b""


def noise(data: bytes, rng: Generator) -> bytes:
    """Random bytes of the same length."""
    return rng.bytes(len(data))


DAMAGE: dict[str, Mutation] = {
    one.__name__: one
    for one in (
        truncated,
        flipped,
        flipped_head,
        flipped_tail,
        zeroed,
        doubled,
        without_a_block,
        huge_number,
        pointer_back,
        exchanged,
        cut_at_a_seam,
        followed,
        packed_under_its_name,
        nul_bytes,
        number_in_words,
        foreign,
        empty,
        noise,
    )
}
