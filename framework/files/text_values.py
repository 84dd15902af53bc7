"""Values of typed columns (Parquet, AnnData) as the text that a person would have written into a CSV file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def text_values(column: pd.Series[Any]) -> npt.NDArray[np.object_]:
    """Return a column (n,) as text: what is missing is empty, ``10.0`` is ``10``, blanks around text are removed.

    A column of identifiers must meet the same identifiers of another file, whatever type a program has stored it in.
    """
    if column.dtype in (np.float32, np.float16):
        # 0.1 of 32 bits is 0.10000000149 of 64: its shortest name among its like is what somebody meant.
        values = np.array([float(str(value)) for value in column.to_numpy()], dtype=object)
    else:
        values = column.astype(object).to_numpy()
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value)).removesuffix(".0")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return str(value).strip()
