"""A table of cells or samples as text with a separator: the plainest thing beside an export of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from data_tools.readers.cells_base import CELL_TABLES
from framework.config import StrictModel
from framework.errors import InputError


class CsvTableConfig(StrictModel):
    """A CSV or TSV file, also compressed; one header row.

    Attributes:
        path: the file.
        separator: null takes a tab for ``.tsv`` and ``.txt`` and a comma for all others.
    """

    name: Literal["csv"] = "csv"
    path: str = Field(description="the file with the table")
    separator: str | None = Field(default=None, min_length=1, max_length=1)


@CELL_TABLES.register("csv", CsvTableConfig)
def read_csv_table(config: CsvTableConfig) -> pd.DataFrame:
    """Return the table.

    Raises:
        InputError: no such file, or no table in it.
    """
    file = Path(config.path)
    tabs = {".tsv", ".txt"} & {suffix.lower() for suffix in file.suffixes}
    try:
        # Text first: an identifier like 007 must not become a number before it is compared.
        table = pd.read_csv(
            file,
            sep=config.separator or ("\t" if tabs else ","),
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
        )
    except FileNotFoundError:
        raise InputError(f"{config.path}: no such table of cells; correct 'tables' in the config") from None
    except (OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise InputError(f"{config.path}: no readable table of cells ({text}); expected CSV with one header") from None
    table.columns = table.columns.str.strip()
    return table
