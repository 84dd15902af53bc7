"""Ways to spoil a file or to write it another way; each is a pure function of its bytes and a random generator.

``DAMAGE`` makes other bytes of any file. ``SAME`` writes a text table another way that says the same: what is read must
be equal, or refused. ``REFUSED`` makes a table that has no one right reading, so it must be refused. ``IDENTIFIERS``
are names that a program which guesses types would change.
"""

from __future__ import annotations

import csv
import gzip
import io
import struct
from collections.abc import Callable, Sequence

import numpy as np

Generator = np.random.Generator
Mutation = Callable[[bytes, Generator], bytes]
Rows = list[list[str]]

IDENTIFIERS = (
    "0042",
    "NA",
    "None",
    "nan",
    "null",
    "TRUE",
    "1e5",
    "0.50",
    "10",
    "-1",
    "1:30",
    "2024-01-02",
    "Inf",
    "ä-β",
    "N/A",
)
"""Names that look like something else."""
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
    """A block stands twice."""
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
        flipped,
        flipped_head,
        flipped_tail,
        zeroed,
        doubled,
        without_a_block,
        huge_number,
        foreign,
        empty,
        noise,
    )
}


def _rows(data: bytes) -> Rows:
    return list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), delimiter=_separator(data)))


def _separator(data: bytes) -> str:
    return "\t" if b"\t" in data.split(b"\n", 1)[0] else ","


def _text(rows: Rows, separator: str = ",", ending: str = "\n", quoting: int = csv.QUOTE_MINIMAL) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator, lineterminator=ending, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return stream.getvalue().encode("utf-8")


def _rewritten(change: Callable[[Rows, Generator], Rows]) -> Mutation:
    def mutate(data: bytes, rng: Generator) -> bytes:
        return _text(change(_rows(data), rng), _separator(data))

    return mutate


def with_bom(data: bytes, rng: Generator) -> bytes:
    """A UTF-8 byte-order mark first, as Excel writes."""
    return b"\xef\xbb\xbf" + data


def utf16(data: bytes, rng: Generator) -> bytes:
    """UTF-16 with its mark, as IDEAS and Excel's 'Unicode text' write."""
    return data.decode("utf-8").encode("utf-16")


def windows_lines(data: bytes, rng: Generator) -> bytes:
    """Lines end in CR LF."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def all_quoted(data: bytes, rng: Generator) -> bytes:
    """Every cell in quotes."""
    return _text(_rows(data), _separator(data), quoting=csv.QUOTE_ALL)


def semicolons(data: bytes, rng: Generator) -> bytes:
    """Semicolons between cells, as Excel writes where the comma is the decimal sign."""
    return _text(_rows(data), ";")


def tabs(data: bytes, rng: Generator) -> bytes:
    """Tabs between cells, whatever the file is called."""
    return _text(_rows(data), "\t")


def blank_lines_last(data: bytes, rng: Generator) -> bytes:
    """Blank lines at the end."""
    return data + b"\n\n"


def no_last_newline(data: bytes, rng: Generator) -> bytes:
    """No newline at the end."""
    return data.rstrip(b"\n")


def blanks_around_header(data: bytes, rng: Generator) -> bytes:
    """Blanks around the names of columns."""
    rows = _rows(data)
    return _text([[f" {name} " for name in rows[0]], *rows[1:]], _separator(data))


SAME: dict[str, Mutation] = {
    one.__name__: one
    for one in (
        with_bom,
        utf16,
        windows_lines,
        all_quoted,
        semicolons,
        tabs,
        blank_lines_last,
        no_last_newline,
        blanks_around_header,
    )
}


def header_twice(rows: Rows, rng: Generator) -> Rows:
    """Two columns of one name."""
    header = list(rows[0])
    first, second = (int(place) for place in rng.choice(len(header), 2, replace=False))
    header[second] = header[first]
    return [header, *rows[1:]]


def surplus_cell(rows: Rows, rng: Generator) -> Rows:
    """One row has a cell more than the header."""
    row = int(rng.integers(1, len(rows)))
    return [[*cells, "surplus"] if number == row else cells for number, cells in enumerate(rows)]


def header_alone(rows: Rows, rng: Generator) -> Rows:
    """No row below the header."""
    return rows[:1]


REFUSED: dict[str, Mutation] = {one.__name__: _rewritten(one) for one in (header_twice, surplus_cell, header_alone)}


def renamed(data: bytes, names: Sequence[str], rng: Generator) -> tuple[bytes, dict[str, str]]:
    """Give every one of ``names`` that the table holds another that looks like something else.

    Returns:
        The table, and old name -> new name.
    """
    chosen = rng.permutation(len(IDENTIFIERS))
    mapping = {name: IDENTIFIERS[chosen[place]] for place, name in enumerate(sorted(names))}
    rows = _rows(data)
    return _text([rows[0], *[[mapping.get(cell, cell) for cell in row] for row in rows[1:]]], _separator(data)), mapping
