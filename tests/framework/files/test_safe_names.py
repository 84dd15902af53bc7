"""Names of plates and wells as names of files."""

from __future__ import annotations

from framework.files.safe_names import safe_names


def test_safe_names_stay_distinct() -> None:
    assert safe_names(["a.b", "a b", "A_B", "c"]) == {"a.b": "a_b", "a b": "a_b-2", "A_B": "A_B-3", "c": "c"}
