"""Identifiers of typed columns, as a person writes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from framework.files.text_values import text_values


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ([0.1, 2.0, np.nan, 1e-7], "float32", ["0.1", "2", "", "1e-07"]),
        ([0.1, 2.0, np.nan], "float64", ["0.1", "2", ""]),
        ([0.5, 10.0], "float16", ["0.5", "10"]),
        ([42, None], "Int64", ["42", ""]),
        (["0042", " NA ", None], "object", ["0042", "NA", ""]),
        ([b"x", "None"], "object", ["x", "None"]),
        ([True, False], "bool", ["True", "False"]),
    ],
)
def test_text_of_each_type(values: list[object], kind: str, text: list[str]) -> None:
    assert text_values(pd.Series(values, dtype=kind)).tolist() == text
