"""What all messages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.platemap import PlatemapConfig, read_platemap
from framework.errors import InputError, some_of


def test_names_of_a_file_are_listed_as_far_as_somebody_reads_them() -> None:
    assert some_of([]) == "none"
    assert some_of(["a", 2]) == "a, 2"
    assert some_of(f"c{number}" for number in range(25)) == ", ".join(f"c{n}" for n in range(20)) + " and 5 more"
    assert some_of(["x" * 61]) == "x" * 60 + "..."


def test_a_header_of_any_length_is_a_sentence(tmp_path: Path) -> None:
    """A table whose only name has 60,000 letters, or that has 5,000 columns."""
    for header in ("<a>" * 20_000, ",".join(f"column {number}" for number in range(5000))):
        (tmp_path / "map.csv").write_text(f"{header}\n{',' * header.count(',')}\n")
        with pytest.raises(InputError) as caught:
            read_platemap(PlatemapConfig(path=str(tmp_path / "map.csv")))
        assert len(str(caught.value)) < 1000
