"""Tables of measured features, one row per cell: text exports of IDEAS and of anything that writes CSV or TSV.

IDEAS writes a few lines about the export before the names of the columns. Their number differs between versions, so the
header is the first line that holds the column with the object number.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import Field

from data_tools.readers.tables.base import CELL_TABLES
from framework.config import StrictModel
from framework.files.delimited import TextTable, read_text_table

OBJECT_NUMBER = "Object Number"
_SEPARATORS = {"auto": None, "tab": "\t", "comma": ",", "semicolon": ";"}


class FeaturesConfig(StrictModel):
    """A text export of features; separator and sign of decimals are found unless told."""

    name: Literal["ideas_features"] = "ideas_features"
    path: str = Field(description="the table")
    header: str = Field(default=OBJECT_NUMBER, min_length=1, description="a column whose name marks the header line")
    separator: Literal["auto", "tab", "comma", "semicolon"] = "auto"
    """Of columns; ``auto`` finds it."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Of its numbers; ``auto`` finds it."""


@CELL_TABLES.register("ideas_features", FeaturesConfig)
def read_features(config: FeaturesConfig, wanted: Collection[str] | None = None) -> TextTable:
    """Read a table of features, or those of its columns that are wanted, whatever stands before its header.

    Returns:
        One row per cell, all of it text; names as in the file, without blanks around them.

    Raises:
        InputError: no such file, no header, a name that appears twice, or rows of another length.
    """
    return read_text_table(
        Path(config.path),
        what="a table of features",
        header=config.header,
        separator=_SEPARATORS[config.separator],
        decimal=None if config.decimal == "auto" else config.decimal,
        wanted=wanted,
    )
