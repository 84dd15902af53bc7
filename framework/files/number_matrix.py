"""Wide matrices of numbers as text (genes x cells): read in blocks of rows by pandas' C parser, never held as text.

The C parser is fast, but fills rows that are cut off with missing values and says little about where a number is none.
So whatever it refuses, and every block whose last column has gaps, is looked at again, line by line, for what is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError, WellstreamError
from framework.files.decimals import about_decimals, decimal_sign, grouped_digits, number
from framework.files.layout import Layout, Records, cell_text, find_layout
from framework.files.missing import MISSING
from framework.files.text_file import TextFile, open_text

_CELLS_AT_ONCE = 4_000_000
_MOST_ROWS = 10_000
_ROWS_JUDGED, _COLUMNS_JUDGED = 50, 2000
"""That the decimal sign is found from."""


@dataclass(frozen=True, kw_only=True)
class NumberBlock:
    """Some rows of a matrix.

    Attributes:
        rows: names of the rows, from the first column, blanks around them removed.
        columns: names of the other columns, the same in every block.
        values: float64 (rows, columns), NaN where a cell is blank.
        corner: the name of the first column; empty where the header has none.
        notes: what was found out about the file; the same in every block.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: npt.NDArray[np.float64]
    corner: str
    notes: tuple[str, ...]


def read_numbers_matrix(
    file: Path,
    *,
    what: str,
    separator: str | None = None,
    decimal: str | None = None,
    error: type[WellstreamError] = InputError,
    cells_at_once: int = _CELLS_AT_ONCE,
    twice: str = "rename or remove one",
) -> Iterator[NumberBlock]:
    """Yield a matrix of numbers in blocks of rows; memory holds one block.

    The first column holds the names of the rows, the header those of the others. The header may lack a name for the
    first column, as R writes it.

    Args:
        file: plain, or packed with gzip, bzip2 or xz.
        what: it should be, with its article.
        separator: between cells; None to find it.
        decimal: sign of decimals; None to find it.
        error: class of what is raised.
        cells_at_once: size of a block.
        twice: what to do about a column that appears twice.

    Raises:
        WellstreamError: of class ``error``, as ``read_text_table``; text among the numbers, with line, row and column;
            no row, or no column of numbers.
    """
    text = open_text(file, what=what, error=error)
    layout = find_layout(text, header=None, header_rows=1, skip=0, separator=separator, comments=True, twice=twice)
    form = _form(text, layout, decimal)
    n_rows = 0
    for part in _parsed(text, layout, form, max(1, min(_MOST_ROWS, cells_at_once // form.width))):
        values = part.iloc[:, 1 : len(form.names)].to_numpy(dtype=np.float64)
        surplus = part.iloc[:, len(form.names) :].notna().to_numpy()
        # A row that is cut off has no last value, and pandas fills it without a word. It also takes a row that is
        # called NA for one without a name.
        if (n_rows == 0 and surplus.size) or surplus.any() or np.isnan(values[:, -1]).any() or part[0].isna().any():
            form.check(text, layout)
        rows = form.row_names[n_rows : n_rows + len(part)] or [cell_text(str(name)).strip() for name in part[0]]
        n_rows += len(part)
        blank = np.array([not name for name in rows], dtype=bool) & np.isnan(values).all(axis=1)
        if blank.any():  # spreadsheets write lines of separators alone
            rows, values = [name for name, none in zip(rows, blank, strict=True) if not none], values[~blank]
        yield NumberBlock(
            rows=tuple(rows),
            columns=form.names[1:],
            values=values,
            corner=form.names[0],
            notes=(*text.notes, *layout.notes, *form.notes),
        )
    if not n_rows:
        raise error(f"{file}: holds a header but no rows; expected {what}")


@dataclass
class _Form:
    """What the header and the first rows say; ``row_names`` once all lines were looked at."""

    names: tuple[str, ...]
    width: int
    decimal: str
    notes: tuple[str, ...]
    row_names: list[str]

    def check(self, text: TextFile, layout: Layout) -> None:
        """Refuse a row whose length is not that of the header, and note the names of all rows; done once."""
        if not self.row_names:
            self.row_names = [row[0] for _, row in _rows(text, layout, self.names)]


def _form(text: TextFile, layout: Layout, decimal: str | None) -> _Form:
    names, notes = layout.names, tuple[str, ...]()
    with text.opened() as stream:
        rows = [row for _, row in islice(_records(text, layout, stream), _ROWS_JUDGED)]
    first = rows[0] if rows else list(layout.names)
    if len(layout.names) == 1 and len(first) > 2:
        raise text.error(
            f"{text.file}: the header in line {layout.skip + 1} names one column, but the rows below have "
            f"{len(first)}; the real header seems to be further down: remove the lines above it"
        )
    if len(first) == len(names) + 1 and first[-1]:
        names, notes = ("", *names), (f"{text.file}: the header has no name for the column of row names",)
    if len(names) < 2:
        raise text.error(
            f"{text.file}: one column; expected {text.what} with names in the first column and numbers in the others"
        )
    if decimal is None:
        decimal, why = _sign(text, layout, names, rows)
        notes = (*notes, f"{text.file}: {why}") if why else notes
    return _Form(names=names, width=max(len(names), len(first)), decimal=decimal, notes=notes, row_names=[])


def _sign(text: TextFile, layout: Layout, names: tuple[str, ...], rows: list[list[str]]) -> tuple[str, str]:
    """Return the decimal sign, and a note where it is the comma; refuse digits in groups."""
    cells = [row[1 : min(len(names), _COLUMNS_JUDGED)] for row in rows]
    columns = ((names[place + 1], column) for place, column in enumerate(zip(*cells, strict=False)))
    decimal, why = decimal_sign(columns, layout.separator)
    grouped = grouped_digits((cell for row in cells for cell in row), layout.separator) if decimal == "." else None
    if grouped is not None:
        raise text.error(
            f"{text.file}: '{grouped}' may be one thousand and more; write numbers without signs between their digits"
        )
    return decimal, why


def _records(text: TextFile, layout: Layout, stream: TextIO) -> Records:
    begin = layout.skip + layout.header_lines
    for _ in range(begin):
        next(stream)
    return Records(stream, layout.separator, comments=False, first=begin + 1, of=text)


def _rows(text: TextFile, layout: Layout, names: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of every row, as many cells as names."""
    with text.opened() as stream:
        for line, row in _records(text, layout, stream):
            if not any(row):
                yield line, [""] * len(names)
                continue
            if len(row) < len(names) or any(row[len(names) :]):
                raise text.error(
                    f"{text.file}: line {line} has {len(row)} cells, the header (line {layout.skip + 1}) names "
                    f"{len(names)}; it begins with '{row[0][:40]}'; complete or correct the line"
                )
            yield line, row[: len(names)]


def _parsed(text: TextFile, layout: Layout, form: _Form, rows_at_once: int) -> Iterator[pd.DataFrame]:
    types: defaultdict[int, Any] = defaultdict(lambda: np.float64, {0: str})
    with _at_first_row(text, layout) as (stream, skip):
        try:
            parts = pd.read_csv(
                stream,
                sep=r"\s+" if layout.separator == " " else layout.separator,
                header=None,
                names=list(range(form.width)),
                skiprows=skip,
                dtype=types,
                decimal=form.decimal,
                encoding=text.encoding,
                chunksize=rows_at_once,
                skipinitialspace=True,
            )
            with closing(parts):
                yield from parts
        except pd.errors.EmptyDataError:
            return
        except (ValueError, OverflowError) as failed:  # the errors of the parser are ValueErrors
            if isinstance(failed, WellstreamError):
                raise
            _explain(text, layout, form, failed)


@contextmanager
def _at_first_row(text: TextFile, layout: Layout) -> Iterator[tuple[Any, int]]:
    """Open the file, and say how many lines to skip: pandas counts lines within quotation marks as one."""
    if layout.skip == 0 and layout.header_lines == 1:
        with text.unpacked() as stream:
            yield stream, 1
    else:
        with text.opened() as lines:
            for _ in range(layout.skip + layout.header_lines):
                next(lines)
            yield lines, 0


def _explain(text: TextFile, layout: Layout, form: _Form, failed: Exception) -> NoReturn:
    """Raise the sentence for what pandas refused."""
    names, decimal = form.names, form.decimal
    for line, row in _rows(text, layout, names):
        for name, cell in zip(names[1:], row[1:], strict=True):
            value = None if cell in MISSING else number(cell, decimal)
            if value is not None and np.isinf(value) and "inf" not in cell.lower():
                raise text.error(
                    f"{text.file}: line {line} ('{row[0]}'): column '{name}' reads '{cell}', which is too large a "
                    "number; correct the cell"
                ) from None
            if cell not in MISSING and value is None:
                raise text.error(
                    f"{text.file}: line {line} ('{row[0]}'): column '{name}' reads '{cell}', expected a "
                    f"number{about_decimals(cell, decimal)}; correct the cell, or remove the line or column "
                    f"that does not belong to {text.what}"
                ) from None
    raise text.error(f"{text.file}: not readable as {text.what} ({' '.join(str(failed).split())})") from None
