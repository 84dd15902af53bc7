"""The one module that reads text tables (CSV, TSV and their kin) for all readers.

Every cell is text until somebody asks for numbers: ``0042`` stays ``0042``, ``NA`` stays ``NA`` and ``10`` is not
``10.0``. A column that is compared, joined or shown is taken with ``column``, one that is computed with ``numbers``.
What was found out about a table (separator, encoding, decimal comma, lines left out) stands in its ``notes``, to be
shown. Wide matrices of numbers, which must not be held as text, are read with ``read_numbers_matrix``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import InputError, WellstreamError, did_you_mean
from framework.files.decimals import JUDGED, about_decimals, decimal_sign, grouped_digits, number
from framework.files.layout import Layout, Records, find_layout
from framework.files.missing import MISSING
from framework.files.number_matrix import NumberBlock, read_numbers_matrix
from framework.files.text_file import TextFile, open_text

__all__ = ["MISSING", "NumberBlock", "TextTable", "iterate_text_table", "read_numbers_matrix", "read_text_table"]

F64 = npt.NDArray[np.float64]
MOST_BYTES = 1 << 31
"""Of a table that is held as text."""
_SHOWN_NAMES = 8
_ARROW: Any = pc
"""Its functions are made when it loads, so type checkers know none of them."""


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table whose cells are text.

    Attributes:
        file: where it was read from.
        names: names of the columns, as in the file but for blanks around them; at most one may be empty.
        text: one column per name, all ``str``, ``""`` where blank; rows counted from 0.
        lines: int64 (rows,), the line of the file each row begins in, counted from 1.
        separator: between cells.
        decimal: ``.`` or ``,``.
        encoding: as Python calls it.
        notes: sentences about what was found out and what was left out.
        error: class of what ``column`` and ``numbers`` raise.
        header: names of all columns of the file, also of those that were not asked for.
        counted: what ``lines`` count: ``line``, or ``row`` where a table was made of a file that is not text.
    """

    file: Path
    names: tuple[str, ...]
    text: pd.DataFrame
    lines: npt.NDArray[np.int64]
    separator: str
    decimal: str
    encoding: str
    notes: tuple[str, ...]
    error: type[WellstreamError] = InputError
    counted: str = "line"
    header: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lines)

    def column(self, name: str) -> pd.Series[Any]:
        """Return the text of a column.

        Raises:
            WellstreamError: no such column; with the nearest name.
        """
        self._check_known(name)
        return self.text[name]

    def _check_known(self, name: str) -> None:
        if name not in self._known:
            shown = ", ".join(f"'{known}'" for known in self.names[:_SHOWN_NAMES])
            more = f" and {len(self.names) - _SHOWN_NAMES} more" if len(self.names) > _SHOWN_NAMES else ""
            raise self.error(f"{self.file}: no column '{name}'; it has {shown}{more}{did_you_mean(name, self.names)}")

    def numbers(self, name: str) -> pd.Series[Any]:
        """Return a column as float64, NaN where it is blank or holds a word of ``MISSING``.

        Raises:
            WellstreamError: no such column, or text that is not a number; names its line.
        """
        self.column(name)
        return pd.Series(self.matrix([name])[:, 0], index=self.text.index, name=name)

    def matrix(self, names: Sequence[str]) -> F64:
        """Return several columns as float64 (rows, len(names)). Raises as ``numbers``."""
        for name in names:
            self._check_known(name)
        cells = self.text[list(names)].to_numpy(dtype=object)
        grouped = grouped_digits(cells.ravel(), self.separator) if self.decimal == "." else None
        if grouped is not None:
            raise self.error(
                f"{self.file}: '{grouped}' may be one thousand and more, or a number with three decimals; write "
                "numbers without signs between their digits (1000), or with a comma as the decimal sign"
            )
        values = _fast_numbers(cells.ravel(), self.decimal)
        if values is None:
            values = np.array([self._number(cell) for cell in cells.ravel()], dtype=object)
            if any(value is None for value in values):
                raise self._refusal(names, cells, values)
        return values.astype(np.float64).reshape(cells.shape)

    def is_number(self, name: str) -> npt.NDArray[np.bool_]:
        """Return whether the cell of a column is a number or missing, bool (rows,)."""
        return np.array([self._number(cell) is not None for cell in self.column(name)], dtype=bool)

    def where(self, row: int) -> str:
        """Return ``FILE: line N`` of a row, for a message."""
        return f"{self.file}: {self.counted} {self.lines[row]}"

    def nameless_left_out(self) -> str:
        """Return a note on the column without a name, which is not the first, where it is not used."""
        before = self.names[self.names.index("") - 1]
        return f"{self.file}: the column behind '{before}' has no name in the header and is left out"

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    def _number(self, cell: str) -> float | None:
        return math.nan if cell in MISSING else number(cell, self.decimal)

    def _refusal(self, names: Sequence[str], cells: npt.NDArray[Any], values: npt.NDArray[Any]) -> WellstreamError:
        place = next(place for place, value in enumerate(values) if value is None)
        row, column = divmod(place, cells.shape[1])
        found = cells[row, column]
        return self.error(
            f"{self.where(row)}: column '{names[column]}' reads '{found}', expected a number"
            + (about_decimals(found, self.decimal) or "; correct the cell, or leave it blank where it was not measured")
        )


def read_text_table(
    file: Path,
    *,
    what: str,
    header: str | None = None,
    header_rows: int = 1,
    skip: int = 0,
    separator: str | None = None,
    decimal: str | None = None,
    comment: bool = True,
    columns: Sequence[str] | None = None,
    wanted: Collection[str] | None = None,
    error: type[WellstreamError] = InputError,
    most_bytes: int = MOST_BYTES,
    may_be_empty: bool = False,
    row_names: Callable[[str], bool] | None = None,
) -> TextTable:
    """Read a text table whole.

    Args:
        file: plain, or packed with gzip, bzip2 or xz.
        what: it should be, with its article: ``a plate map``.
        header: a column whose name marks the line of the header, whatever stands before; None for the first line that
            is neither blank nor a comment.
        header_rows: rows of the header; the names of a column are joined by `` / ``.
        skip: lines at the beginning that are not looked at.
        separator: between cells; None to find it: tab, semicolon, comma or bar.
        decimal: ``.`` or ``,``; None to find it.
        comment: whether a line that begins with ``#`` is left out (and counted in the notes).
        columns: the only ones that are kept, in the order of the file, each of which must be there; None for all.
        wanted: the only ones that are kept, as far as they are there, so that memory holds no others; None for all.
        error: class of what is raised.
        most_bytes: it may hold unpacked, unless only some columns are kept.
        may_be_empty: whether a header without a row below it is a table too, as of a well without cells.
        row_names: whether a column, by its name, holds text: given where the header may lack a name for the column of
            row names, as R writes it, which is then called ``""``. None where it may not.

    Raises:
        WellstreamError: of class ``error``: no such file, no text (named as what it is), damaged, no header, a name
            twice, a row of another length than the header (with its line), no row.
    """
    some = columns is not None or wanted is not None
    text = open_text(file, what=what, error=error, most_bytes=None if some else most_bytes)
    layout = find_layout(text, header=header, header_rows=header_rows, skip=skip, separator=separator, comments=comment)
    if wanted is not None:
        columns = [name for name in layout.names if name in wanted]
    table = next(_pieces(text, layout, decimal, columns, rows_at_once=None, row_names=row_names))
    if not len(table) and not may_be_empty:
        left = "".join(f"; {note.removeprefix(f'{file}: ')}" for note in table.notes)
        raise error(f"{file}: holds a header but no rows; expected {what}{left}")
    return table


def iterate_text_table(
    file: Path,
    *,
    what: str,
    rows_at_once: int = 10_000,
    header: str | None = None,
    header_rows: int = 1,
    skip: int = 0,
    separator: str | None = None,
    decimal: str | None = None,
    comment: bool = True,
    columns: Sequence[str] | None = None,
    error: type[WellstreamError] = InputError,
) -> Iterator[TextTable]:
    """Yield a text table in pieces of rows, at least one, the last with the notes; arguments as ``read_text_table``."""
    text = open_text(file, what=what, error=error)
    layout = find_layout(text, header=header, header_rows=header_rows, skip=skip, separator=separator, comments=comment)
    yield from _pieces(text, layout, decimal, columns, rows_at_once=rows_at_once)


def _pieces(
    text: TextFile,
    layout: Layout,
    decimal: str | None,
    columns: Sequence[str] | None,
    *,
    rows_at_once: int | None,
    row_names: Callable[[str], bool] | None = None,
) -> Iterator[TextTable]:
    with text.opened() as stream:
        begin = layout.skip + layout.header_lines
        for _ in range(begin):
            next(stream)
        records = Records(stream, layout.separator, comments=layout.comments, first=begin + 1, of=text, strip=False)
        rows = _Rows(text, layout, columns, row_names)
        table: TextTable | None = None
        for line, row in records:
            rows.add(line, row)
            if rows_at_once is not None and len(rows.lines) == rows_at_once:
                if table is not None:
                    yield table
                table = rows.taken(decimal)
                decimal = table.decimal
        if table is None or rows.lines:
            if table is not None:
                yield table
            table = rows.taken(decimal)
        left = rows.notes(records.commented, records.formulas)
        yield replace(table, notes=(*text.notes, *layout.notes, *table.notes, *left))


class _Rows:
    """Rows of a table as they are collected."""

    def __init__(
        self,
        text: TextFile,
        layout: Layout,
        columns: Sequence[str] | None,
        row_names: Callable[[str], bool] | None = None,
    ) -> None:
        self._text, self._layout = text, layout
        self._row_names = row_names
        self._shifted = False
        self.lines: list[int] = []
        self._cells: list[list[str]] = []
        self._blank: list[int] = []
        for name in columns or ():
            if name not in layout.names:
                raise text.error(
                    f"{text.file}: no column '{name}' among {len(layout.names)}{did_you_mean(name, layout.names)}"
                )
        kept = None if columns is None else set(columns)
        self._places = [place for place, name in enumerate(layout.names) if kept is None or name in kept]

    def add(self, line: int, row: list[str]) -> None:
        """Take a row, or refuse it for its length."""
        if not "".join(row).strip():
            self._blank.append(line)
            return
        if not self.lines and self._lacks_a_name(row):
            self._shifted = True
            self._layout = replace(self._layout, names=("", *self._layout.names))
            self._places = list(range(len(self._layout.names)))
        width = len(self._layout.names)
        if len(row) != width and (len(row) < width or "".join(row[width:]).strip()):
            self._refuse(line, row)
        self.lines.append(line)
        self._cells.append([row[place].strip() for place in self._places])

    def _lacks_a_name(self, row: list[str]) -> bool:
        """Whether the header lacks a name for row names; a text that would be a number tells of a decimal comma."""
        names, holds_text = self._layout.names, self._row_names
        if holds_text is None or self._shifted or len(row) != len(names) + 1 or len(names) < 2 or not row[-1].strip():
            return False
        comma = self._layout.separator == "," and holds_text(names[0]) and number(row[1].strip(), ".") is not None
        return not comma

    def taken(self, decimal: str | None) -> TextTable:
        """Return the rows collected since the last call, as a table."""
        names = tuple(self._layout.names[place] for place in self._places)
        cells = np.array(self._cells, dtype=object).reshape(len(self._cells), len(names))
        cells, names = self._without_nameless(cells, names)
        notes: tuple[str, ...] = ()
        if decimal is None:
            judged = ((name, cells[:JUDGED, place]) for place, name in enumerate(names))
            decimal, why = decimal_sign(judged, self._layout.separator)
            notes = (f"{self._text.file}: {why}",) if why else ()
        table = TextTable(
            file=self._text.file,
            names=names,
            text=pd.DataFrame(cells, columns=pd.Index(names, dtype=object)),
            lines=np.array(self.lines, dtype=np.int64),
            separator=self._layout.separator,
            decimal=decimal,
            encoding=self._text.encoding,
            notes=notes,
            error=self._text.error,
            header=tuple(name for name in self._layout.names if name),
        )
        self.lines, self._cells = [], []
        return table

    def notes(self, commented: Sequence[int], formulas: int) -> tuple[str, ...]:
        """Return what was left out, and how many cells were written as ``="text"``."""
        file = self._text.file
        found = [(commented, "begin", "with #"), (self._blank, "hold", "blank cells alone")]
        left = [
            f"{file}: {_lines(numbers)} {verb}{'s' if len(numbers) == 1 else ''} {text} and {_are(numbers)} left out"
            for numbers, verb, text in found
            if numbers
        ]
        return (
            *left,
            *((f"{file}: the header has no name for the column of row names",) if self._shifted else ()),
            *((f'{file}: {formulas} cells are written as ="text" and read as the text',) if formulas else ()),
        )

    def _without_nameless(self, cells: npt.NDArray[Any], names: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
        nameless = [place for place, name in enumerate(names) if not name]
        if not nameless:
            return cells, names
        filled = [place for place in nameless if any(cells[:, place])]
        if len(filled) > 1:
            raise self._text.error(
                f"{self._text.file}: columns {filled[0] + 1} and {filled[1] + 1} have cells but no name in the header; "
                "name them"
            )
        kept = [place for place, name in enumerate(names) if name or place in filled]
        return cells[:, kept], tuple(names[place] for place in kept)

    def _refuse(self, line: int, row: list[str]) -> None:
        header, names = self._layout.skip + 1, self._layout.names
        named = f"{len(names) - 1} beside the names of rows" if self._shifted else str(len(names))
        text = f"{self._text.file}: line {line} has {len(row)} cells, the header (line {header}) names {named}"
        quote = f"a cell with '{self._layout.separator}' in it needs quotation marks"
        if not self.lines and len(names) == 1:
            then = f"the header seems to stand below line {header}: remove the lines above it"
        elif not self.lines and len(row) == len(names) + 1:
            then = (
                "if the first cells are names of rows, as R writes them, give their column a name in the header; "
                f"else {quote}"
            )
        elif len(row) > len(names):
            then = quote
        else:
            then = "the line may be cut off; complete it"
        raise self._text.error(f"{text}; it begins with '{row[0][:40]}'; {then}")


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:5]) + (" ..." if len(numbers) > 5 else "")
    return f"{len(numbers)} lines ({shown})" if len(numbers) > 1 else f"line {shown}"


def _are(numbers: Sequence[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _fast_numbers(cells: npt.NDArray[Any], decimal: str) -> npt.NDArray[Any] | None:
    """Return cells as float64, NaN where they are missing; None where one is perhaps no number, for a closer look."""
    text = pa.array(cells, type=pa.string())
    text = _ARROW.if_else(_ARROW.is_in(text, value_set=pa.array(sorted(MISSING))), pa.scalar(None, pa.string()), text)
    # Arrow reads nan(1) as a number; a point in a table with decimal commas groups digits.
    doubtful = r"[(.]" if decimal == "," else r"[(]"
    if _ARROW.any(_ARROW.match_substring_regex(text, doubtful)).as_py():
        return None
    if decimal == ",":
        text = _ARROW.replace_substring(text, ",", ".")
    try:
        values: npt.NDArray[Any] = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return values
