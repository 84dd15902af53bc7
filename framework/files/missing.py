"""Words that stand for a missing number in tables, whoever wrote them. Columns of text keep them as they are."""

from __future__ import annotations

MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "-nan", "-NaN", "<NA>", "null", "NULL", "Null", "None", "#N/A",
     "#NA", "1.#QNAN", "-1.#QNAN", "1.#IND", "-1.#IND", ".", "-")
)  # fmt: skip
