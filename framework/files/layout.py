"""How a text table is laid out: the line of its header, what separates its cells, and the names in its header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from framework.errors import did_you_mean
from framework.files.text_file import TextFile

SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}
"""Those that are tried, the preferred one first where two fit alike."""
_CALLED = {**SEPARATORS, " ": "blanks"}
_SAMPLE_LINES = 60
_MOST_LINES = 1000
"""Lines in which the header must stand."""
_MOST_LETTERS = 1 << 24
_GCT = re.compile(r"#1\.[23]\s*")
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)\s*", re.IGNORECASE)
_FRACTION = re.compile(r"[.,][0-9]*[1-9]")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the header stands, and what it says.

    Attributes:
        skip: lines before the header.
        separator: one character.
        names: cells of the header, stripped; blank ones at its end are left out.
        header_lines: lines the header takes.
        comments: whether lines that begin with ``#`` are comments.
        notes: what was found, in words.
    """

    skip: int
    separator: str
    names: tuple[str, ...]
    header_lines: int
    comments: bool
    notes: tuple[str, ...]


def cell_text(cell: str) -> str:
    """Return what a cell says: ``="0042"`` is written so that a spreadsheet takes ``0042`` for text."""
    bare = cell.strip()
    return bare[2:-1].replace('""', '"') if len(bare) > 2 and bare.startswith('="') and bare.endswith('"') else cell


class Records:
    """Rows of a text table as lists of cells, each with the number of its first line; comments and blanks left out.

    Args:
        lines: lines of the text.
        separator: between cells.
        comments: whether lines that begin with ``#`` are left out.
        first: number of the first line.
        of: the file, for messages.
        strip: whether blanks around cells are removed.
    """

    def __init__(
        self, lines: Iterable[str], separator: str, *, comments: bool, first: int, of: TextFile, strip: bool = True
    ) -> None:
        self._strip = strip
        self._lines, self._of = iter(lines), of
        self._comments = comments
        self._number = first - 1
        self._at_start, self._begun = True, first
        self.commented: list[int] = []
        self.formulas = 0
        """Cells that were written as ``="text"``."""
        self._may_hold_formulas = False
        self._reader = csv.reader(self._fed(), delimiter=separator, skipinitialspace=True, strict=True)

    @property
    def lines_taken(self) -> int:
        """Number of the last line that was read."""
        return self._number

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells); may be left and gone on with."""
        while True:
            self._at_start = True
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as failed:
                self._refuse(str(failed))
            if self._may_hold_formulas:
                row = self._without_formulas(row)
            if row:
                yield self._begun, [cell.strip() for cell in row] if self._strip else row

    def _fed(self) -> Iterator[str]:
        for line in self._lines:
            self._number += 1
            if self._at_start:
                if self._comments and line.startswith("#"):
                    self.commented.append(self._number)
                    continue
                self._begun = self._number
            self._at_start = False
            if "\x00" in line:
                raise self._of.error(f"{self._of.file}: line {self._number} holds a NUL character, which no text has")
            self._may_hold_formulas |= '="' in line
            yield line

    def _without_formulas(self, row: list[str]) -> list[str]:
        self._may_hold_formulas = False
        found = [cell_text(cell) for cell in row]
        self.formulas += sum(one != other for one, other in zip(found, row, strict=True))
        return found

    def _refuse(self, reason: str) -> NoReturn:
        where = f"{self._of.file}: line {self._begun}"
        if "field larger" in reason:
            text = "a cell of more than 131,072 characters begins; a quotation mark may not be closed"
        elif "end of data" in reason:
            text = "a quotation mark opens that is never closed"
        else:
            text = "text follows a closing quotation mark; write a quotation mark inside a cell twice"
        raise self._of.error(f"{where}: {text}; expected {self._of.what}") from None


def find_layout(
    text: TextFile,
    *,
    header: str | None,
    header_rows: int,
    skip: int,
    separator: str | None,
    comments: bool,
    twice: str = "rename or remove one",
) -> Layout:
    """Find the header of a table, and the separator where none is told.

    Args:
        text: the file.
        header: a column whose name marks the line of the header; None for the first line that is not a comment.
        header_rows: rows the names stand in; they are joined by `` / ``.
        skip: lines before anything else.
        separator: separator of cells, or None to find it.
        comments: whether lines that begin with ``#`` are comments.
        twice: what to do about a name that appears twice.

    Raises:
        WellstreamError: no header, a name that appears twice, or a separator that does not separate.
    """
    lines = _first_lines(text, skip)
    if comments and header is None:
        _refuse_gct(text, lines)
    notes: list[str] = []
    place = 0
    told = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if told:
        separator, place = separator or told[1], 1
    if header is not None:
        place, separator = _marked(text, lines, header, separator)
        if place:
            notes.append(
                f"{text.file}: the header stands in line {skip + place + 1}, what stands before it is left out"
            )
    else:
        place, separator = _unmarked(text, lines, place, separator, comments, skip)
    _check_separator(text, separator)
    rows = Records(lines[place:], separator, comments=False, first=skip + place + 1, of=text)
    names, after = _names(text, rows, header_rows, skip + place + 1, twice)
    if separator != _usual(text):
        notes.append(f"{text.file}: cells are separated by {_CALLED.get(separator, repr(separator))}")
    return Layout(
        skip=skip + place,
        separator=separator,
        names=names,
        header_lines=after,
        comments=comments,
        notes=tuple(notes),
    )


def _check_separator(text: TextFile, separator: str) -> None:
    """Refuse a separator that is not one character, or that cells may hold."""
    if len(separator) != 1 or separator in '"\r\n\\':
        raise text.error(f"{text.file}: the separator is '{separator}'; expected one character, as , ; | or a tab")


def _first_lines(text: TextFile, skip: int) -> list[str]:
    lines: list[str] = []
    letters = 0
    with text.opened() as stream:
        for number, line in enumerate(stream):
            if number >= skip:
                lines.append(line)
                letters += len(line)
            if len(lines) == _MOST_LINES or letters > _MOST_LETTERS:
                break
    return lines


def _refuse_gct(text: TextFile, lines: Sequence[str]) -> None:
    if lines and _GCT.fullmatch(lines[0]):
        raise text.error(
            f"{text.file}: expected {text.what}, found a GCT file (its first line is {lines[0].strip()}); GCT "
            "can only be used as an omics table; save it as CSV"
        )


def _first_row(lines: Sequence[str], place: int, comments: bool) -> int:
    while place < len(lines) and (not lines[place].strip() or (comments and lines[place].startswith("#"))):
        place += 1
    return place


def _cells(line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]
    except csv.Error:
        return []


def _marked(text: TextFile, lines: Sequence[str], header: str, separator: str | None) -> tuple[int, str]:
    wanted = header.strip().lower()
    tried = tuple(SEPARATORS) if separator is None else (separator,)
    for place, line in enumerate(lines):
        for one in tried:
            if wanted in (cell.lower() for cell in _cells(line, one)):
                return place, one
    raise text.error(
        f"{text.file}: no line among the first {_MOST_LINES} holds the column '{header}', by which the header "
        f"of {text.what} is found; name another column with 'header:', or export the table with that column"
        + did_you_mean(header, [cell for line in lines[:100] for cell in _cells(line, tried[0])])
    )


def _unmarked(
    text: TextFile, lines: list[str], begin: int, separator: str | None, comments: bool, skip: int
) -> tuple[int, str]:
    """Return the line of the header, which may be the last comment above the first row, and what separates cells."""
    place = _first_row(lines, begin, comments)
    if place == len(lines):
        raise text.error(f"{text.file}: holds no line of a table; expected {text.what} with a header")
    separator = separator or _separator(text, lines[place : place + _SAMPLE_LINES], comments)
    if place > begin and _header_is_commented(lines[place - 1], lines[place], separator):
        lines[place - 1] = _without_mark(lines[place - 1])
        return place - 1, separator
    cells = _cells(lines[place], separator)
    below_comment = any(line.startswith("#") for line in lines[begin:place])
    if len(cells) > 1 and all(map(_NUMBER.fullmatch, cells)) and (below_comment or any(map(_FRACTION.search, cells))):
        raise text.error(
            f"{text.file}: line {skip + place + 1} holds only numbers where the header of {text.what} is "
            "expected; write the names of the columns above it"
            + (", or remove the # of the line that has them" if below_comment else "")
        )
    return place, separator


def _usual(text: TextFile) -> str:
    suffixes = {suffix.lower() for suffix in text.file.suffixes}
    return "\t" if {".tsv", ".txt", ".tab"} & suffixes else ","


def _separator(text: TextFile, sample: Sequence[str], comments: bool) -> str:
    """Return what cuts the header into several cells and most rows into as many."""
    best, chosen = (0.0, 1), _usual(text)
    for separator in SEPARATORS:
        widths = _widths(text, sample, separator, comments)
        if not widths or widths[0] < 2:
            continue
        alike = sum(width == widths[0] for width in widths) / len(widths)
        # R writes no name for the column of row names: all rows have one cell more.
        alike = max(alike, sum(width == widths[0] + 1 for width in widths) / len(widths))
        if (alike, widths[0]) > best:
            best, chosen = (alike, widths[0]), separator
    if best != (0.0, 1):
        return chosen
    for separator in SEPARATORS:
        # A title above the header is one cell: then the rows say what separates, and the header is looked for in vain.
        widths = _widths(text, sample, separator, comments)[1:]
        if len(widths) > 1 and widths[0] > 1 and len(set(widths)) == 1:
            return separator
    return " " if _blanks_separate(text, sample, comments) else chosen


def _blanks_separate(text: TextFile, sample: Sequence[str], comments: bool) -> bool:
    """Whether blanks cut all rows into as many cells as the header, as ``write.table`` of R writes them."""
    widths = _widths(text, sample, " ", comments)
    return (
        len(widths) > 1
        and widths[0] > 1
        and all(width in (widths[0], widths[0] + 1) for width in widths[1:])
        and (len(set(widths[1:])) == 1)
    )


def _widths(text: TextFile, sample: Sequence[str], separator: str, comments: bool) -> list[int]:
    widths = []
    try:
        for _, row in Records(sample, separator, comments=comments, first=1, of=text):
            widths.append(len(row))
    except text.error:
        pass  # the sample may end within quotation marks; the parse says what is wrong, if anything is
    return widths


def _without_mark(line: str) -> str:
    """Return a comment as the header it is: ``# gene a b`` names ``gene``, and ``#OTU ID`` is a name as it stands."""
    return line[1:].lstrip(" ") if line.startswith("# ") else line


def _header_is_commented(above: str, first: str, separator: str) -> bool:
    """Whether the last comment before the first row names its columns, as ``#OTU ID`` and ``#CHROM`` lines do."""
    if not above.startswith("#") or above.startswith("##"):
        return False
    names, cells = _cells(_without_mark(above), separator), _cells(first, separator)
    named = not any(_NUMBER.fullmatch(name) for name in names)
    return len(names) == len(cells) > 1 and named and any(_NUMBER.fullmatch(cell) for cell in cells)


def _names(text: TextFile, rows: Records, header_rows: int, line: int, twice: str) -> tuple[tuple[str, ...], int]:
    """Return the names of the columns, and how many lines the header takes."""
    found: list[list[str]] = []
    for _, row in rows:
        found.append(row)
        if len(found) == header_rows:
            break
    if len(found) < header_rows:
        raise text.error(f"{text.file}: expected {header_rows} header rows, found {len(found)}; correct 'header_rows'")
    width = max(len(row) for row in found)
    if any(len(row) != width for row in found):
        sizes = " and ".join(str(len(row)) for row in found)
        raise text.error(
            f"{text.file}: the header rows from line {line} on have {sizes} cells; expected as many in each"
        )
    names = [" / ".join(parts) if any(parts) else "" for parts in zip(*found, strict=True)]
    while names and not names[-1]:
        names.pop()
    _refuse_twice(text, names, twice)
    if not names:
        raise text.error(f"{text.file}: the header in line {line} names no column; expected {text.what}")
    return tuple(names), rows.lines_taken - line + 1


def _refuse_twice(text: TextFile, names: Sequence[str], then: str) -> None:
    places: dict[str, int] = {}
    numbered = ((name, place) for place, name in enumerate(names, start=1) if name)
    again = [(name, place) for name, place in numbered if places.setdefault(name, place) != place]
    if again:
        name, place = again[0]
        more = len({other for other, _ in again}) - 1
        raise text.error(
            f"{text.file}: the column '{name}' appears twice in the header (columns {places[name]} and {place})"
            + (f", and so do {more} more" if more else "")
            + f"; {then}"
        )
