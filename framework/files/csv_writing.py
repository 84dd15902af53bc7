"""Writing tables as ``.csv`` that are whole or absent."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from framework.durable import write_with


def write_csv(file: Path, table: pd.DataFrame, *, index: bool = False) -> None:
    """Replace ``file`` by a table with commas, in UTF-8, in one step.

    Args:
        file: its name.
        table: content.
        index: whether the index is written too, as the first columns.

    Raises:
        OSError: it cannot be written; names the file.
    """
    write_with(file, partial(table.to_csv, index=index, lineterminator="\n"))
