"""What every table of cells becomes: text as it stands in the file, or numbers of a file that has no text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd

from framework.files.delimited import TextTable
from framework.registry import Registry


@dataclass(frozen=True, kw_only=True)
class NumberTable:
    """A table that holds numbers alone, as events of a cytometer.

    Attributes:
        columns: one float64 column per measurement, a name once.
        notes: sentences about how it was read.
    """

    columns: pd.DataFrame
    notes: tuple[str, ...] = ()


class CellTableReader(Protocol):
    """A table with one row per cell or a sample: column names as in the file, a name once."""

    def __call__(self, config: Any, wanted: Collection[str] | None = None) -> TextTable | NumberTable:
        """Return the table: text as it stands in the file, or numbers of a file that has no text.

        Args:
            config: config of the table.
            wanted: columns that are used; others may be left out, so that memory need not hold them. None for all.
        """
        ...


CELL_TABLES: Registry[CellTableReader] = Registry("table of cells")
"""Readers of tables that belong to cells, by the name a config writes; each config has a field ``path``."""
