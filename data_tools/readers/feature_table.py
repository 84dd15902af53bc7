"""Tables of measured features, one row a cell: text exports of IDEAS and of anything that writes CSV or TSV.

IDEAS writes a few lines about the export before the names of the columns. Their number differs between versions, so the
header is the first line that holds the column with the object number.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from data_tools.readers.cells_base import CELL_TABLES
from framework.config import StrictModel
from framework.errors import InputError

OBJECT_NUMBER = "Object Number"
_MOST_LINES = 1000
"""Lines in which the header must stand."""
_LONGEST_LINE = 1 << 20
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class FeaturesConfig(StrictModel):
    """A text export of features: ``.txt`` and ``.tsv`` are tab-separated, ``.csv`` comma-separated, unless told."""

    name: Literal["ideas_features"] = "ideas_features"
    path: str = Field(description="the table")
    header: str = Field(default=OBJECT_NUMBER, min_length=1, description="a column whose name marks the header line")
    separator: Literal["auto", "tab", "comma", "semicolon"] = "auto"
    decimal: Literal[".", ","] = "."


@CELL_TABLES.register("ideas_features", FeaturesConfig)
def read_features(config: FeaturesConfig) -> pd.DataFrame:
    """Read a table of features, whatever stands before its header.

    Returns:
        One row a cell; names as in the file, without blanks around them. Columns of numbers are numbers, NaN where the
        file has none.

    Raises:
        InputError: no such file, no header, a name that comes twice, or rows of another length.
    """
    file = Path(config.path)
    encoding = _encoding(file)
    line, separator = _header(file, config, encoding)
    try:
        names = pd.read_csv(file, sep=separator, skiprows=line, header=None, nrows=1, dtype=str, encoding=encoding)
        table = pd.read_csv(
            file,
            sep=separator,
            skiprows=line + 1,
            header=None,
            names=list(range(names.shape[1])),
            index_col=False,
            encoding=encoding,
            decimal=config.decimal,
            skipinitialspace=True,
            low_memory=False,
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: no readable table of features ({' '.join(str(error).split())})") from None
    table.columns = pd.Index(names.iloc[0].fillna("").str.strip())
    # A line that ends in a separator makes a last column without name and values.
    table = table.loc[:, [bool(name) for name in table.columns]]
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InputError(f"{file}: the column '{twice[0]}' comes more than once; rename one")
    return table


def _encoding(file: Path) -> str:
    """Return the encoding: that of the byte-order mark, UTF-8 where it fits, else Latin-1, which always does."""
    try:
        with file.open("rb") as stream:
            head = stream.read(1 << 16)
    except OSError as error:
        raise InputError(f"{file}: cannot be opened ({error.strerror}); correct 'path'") from None
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _header(file: Path, config: FeaturesConfig, encoding: str) -> tuple[int, str]:
    """Return the number of the header line, from 0, and the separator."""
    separators = {"tab": "\t", "comma": ",", "semicolon": ";"}
    tried = tuple(separators.values()) if config.separator == "auto" else (separators[config.separator],)
    wanted = config.header.strip().lower()
    with file.open(encoding=encoding, errors="replace", newline=None) as stream:
        for number in range(_MOST_LINES):
            text = stream.readline(_LONGEST_LINE)
            if not text:
                break
            for separator in tried:
                if wanted in (cell.strip().strip('"').strip().lower() for cell in text.rstrip("\r\n").split(separator)):
                    return number, separator
    raise InputError(
        f"{file}: no line among the first {_MOST_LINES} holds the column '{config.header}', which marks the header; "
        "name another column with 'header:', or export the table with object numbers"
    )
