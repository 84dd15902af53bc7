"""A table of cells or samples as text with a separator: the plainest thing beside an export of cells."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field

from data_tools.readers.tables.base import CELL_TABLES
from framework.config import StrictModel
from framework.files.delimited import TextTable, read_text_table

WHAT = "a table of cells with one header"


class CsvTableConfig(StrictModel):
    """A CSV or TSV file, also compressed; one header row.

    Attributes:
        path: the file.
        separator: null finds it: tab, semicolon, comma or bar.
        decimal: decimal of its numbers; null finds it.
    """

    name: Literal["csv"] = "csv"
    path: str = Field(description="the file with the table")
    separator: str | None = Field(default=None, min_length=1, max_length=1)
    decimal: Literal[".", ","] | None = None


@CELL_TABLES.register("csv", CsvTableConfig)
def read_csv_table(config: CsvTableConfig, wanted: Collection[str] | None = None) -> TextTable:
    """Return the table, or those of its columns that are wanted.

    Raises:
        InputError: no such file, or no table in it.
    """
    return read_text_table(
        Path(config.path), what=WHAT, separator=config.separator, decimal=config.decimal, wanted=wanted
    )
