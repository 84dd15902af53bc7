"""Ways to write a text table again: the same in another form, a table without one right reading, or other cells.

``SAME`` says the same in another way: what is read must be equal, or refused. ``REFUSED`` has no one right reading, so
it must be refused. ``CHANGED`` holds other cells, which a reader may take or refuse; a target names those that it must
refuse. ``IDENTIFIERS`` are names that a program which guesses types would change.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable, Sequence

import numpy as np
from fuzz.mutations import Generator, Mutation

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
    "a,b;c",
    'say "x"',
    "=1+1",
    "two  blanks",
    "0x1F",
)
"""Names that look like something else."""


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
    """UTF-16 of either byte order with its mark, as IDEAS and Excel's 'Unicode text' write; at times without."""
    text = data.decode("utf-8")
    return (
        text.encode("utf-16"),
        b"\xfe\xff" + text.encode("utf-16-be"),
        text.encode("utf-16-le"),
        text.encode("utf-32"),
    )[int(rng.integers(4))]


def windows_lines(data: bytes, rng: Generator) -> bytes:
    """Lines end in CR LF."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def old_mac_lines(data: bytes, rng: Generator) -> bytes:
    """Lines end in CR alone."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r")


def all_quoted(data: bytes, rng: Generator) -> bytes:
    """Every cell in quotes."""
    return _text(_rows(data), _separator(data), quoting=csv.QUOTE_ALL)


def semicolons(data: bytes, rng: Generator) -> bytes:
    """Semicolons between cells, as Excel writes where the comma is the decimal sign."""
    return _text(_rows(data), ";")


def decimal_commas(data: bytes, rng: Generator) -> bytes:
    """Semicolons between cells, and commas in numbers."""
    rows = _rows(data)
    return _text([rows[0], *[[_with_comma(cell) for cell in row] for row in rows[1:]]], ";")


def _with_comma(cell: str) -> str:
    return cell.replace(".", ",") if "." in cell and _is_number(cell) else cell


def tabs(data: bytes, rng: Generator) -> bytes:
    """Tabs between cells, whatever the file is called."""
    return _text(_rows(data), "\t")


def separator_line(data: bytes, rng: Generator) -> bytes:
    """A first line that names the separator, as Excel understands it."""
    return f"sep={_separator(data)}\n".encode() + data


def comment_first(data: bytes, rng: Generator) -> bytes:
    """A line about the table before its header."""
    return b"# exported on 1 October\n" + data


def packed(data: bytes, rng: Generator) -> bytes:
    """Packed under the same name."""
    return (gzip.compress(data, mtime=0), bz2.compress(data), lzma.compress(data))[int(rng.integers(3))]


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
        old_mac_lines,
        all_quoted,
        semicolons,
        decimal_commas,
        tabs,
        separator_line,
        comment_first,
        packed,
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


def lacking_cell(rows: Rows, rng: Generator) -> Rows:
    """One row has a cell less than the header."""
    row = int(rng.integers(1, len(rows)))
    return [cells[:-1] if number == row else cells for number, cells in enumerate(rows)]


def header_alone(rows: Rows, rng: Generator) -> Rows:
    """No row below the header."""
    return rows[:1]


def packed_twice(data: bytes, rng: Generator) -> bytes:
    """Packed, and packed again."""
    return packed(packed(data, rng), rng)


def open_quote(data: bytes, rng: Generator) -> bytes:
    """A quotation mark that is never closed begins the last row."""
    return _text(_rows(data)[:-1], _separator(data)) + b'"' + data.rstrip(b"\n").rsplit(b"\n", 1)[1] + b"\n"


def nul_in_a_row(data: bytes, rng: Generator) -> bytes:
    """A NUL byte somewhere below the header."""
    place = int(rng.integers(data.index(b"\n") + 1, len(data)))
    return data[:place] + b"\0" + data[place:]


REFUSED: dict[str, Mutation] = {
    **{one.__name__: _rewritten(one) for one in (header_twice, surplus_cell, lacking_cell, header_alone)},
    **{one.__name__: one for one in (packed_twice, open_quote, nul_in_a_row)},
}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _in_a_number(rows: Rows, rng: Generator, words: Sequence[str]) -> Rows:
    """Put one of ``words`` in the place of a number right of the first column."""
    places = [
        (row, column)
        for row in range(1, len(rows))
        for column in range(1, len(rows[row]))
        if _is_number(rows[row][column])
    ]
    if places:
        row, column = places[int(rng.integers(len(places)))]
        rows[row][column] = words[int(rng.integers(len(words)))]
    return rows


def infinite(rows: Rows, rng: Generator) -> Rows:
    """A number is infinite, or too large to be one."""
    return _in_a_number(rows, rng, ("inf", "-inf", "Infinity", "1e999", "-1e999"))


def word_among_numbers(rows: Rows, rng: Generator) -> Rows:
    """A number is a word."""
    return _in_a_number(rows, rng, ("high", "#DIV/0!", "1_000", "0x10", "12:30", "1.2.3", "٣٫"))


def missing_number(rows: Rows, rng: Generator) -> Rows:
    """A number is missing."""
    return _in_a_number(rows, rng, ("", "NA", "nan", "-"))


def extreme_number(rows: Rows, rng: Generator) -> Rows:
    """A number is far from what it may be."""
    return _in_a_number(rows, rng, ("-1", "0.5", "1e300", "-1e-300", "18446744073709551616", "9" * 400))


def row_twice(rows: Rows, rng: Generator) -> Rows:
    """A row appears twice."""
    row = int(rng.integers(1, len(rows)))
    return [*rows, rows[row]]


def quoted_newline(rows: Rows, rng: Generator) -> Rows:
    """A cell of text holds line ends."""
    row, column = int(rng.integers(1, len(rows))), int(rng.integers(0, len(rows[0])))
    rows[row][column] = f"{rows[row][column]}\nsecond line\r\nthird"
    return rows


def long_cell(rows: Rows, rng: Generator) -> Rows:
    """A cell of 300,000 letters."""
    rows[int(rng.integers(0, len(rows)))][int(rng.integers(0, len(rows[0])))] = "x" * 300_000
    return rows


def column_missing(rows: Rows, rng: Generator) -> Rows:
    """A column is not there."""
    column = int(rng.integers(0, len(rows[0])))
    return [[*row[:column], *row[column + 1 :]] for row in rows]


def transposed(rows: Rows, rng: Generator) -> Rows:
    """Rows and columns exchanged."""
    return [list(column) for column in zip(*rows, strict=True)]


CHANGED: dict[str, Mutation] = {
    one.__name__: _rewritten(one)
    for one in (
        infinite,
        word_among_numbers,
        missing_number,
        extreme_number,
        row_twice,
        quoted_newline,
        long_cell,
        column_missing,
        transposed,
    )
}


def renamed(data: bytes, names: Sequence[str], rng: np.random.Generator) -> tuple[bytes, dict[str, str]]:
    """Give every one of ``names`` that the table holds another that looks like something else.

    Returns:
        The table, and old name -> new name.
    """
    chosen = rng.permutation(len(IDENTIFIERS))
    mapping = {name: IDENTIFIERS[chosen[place]] for place, name in enumerate(sorted(names))}
    rows = _rows(data)
    return _text([rows[0], *[[mapping.get(cell, cell) for cell in row] for row in rows[1:]]], _separator(data)), mapping
