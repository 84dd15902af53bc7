"""JSON files: values, and one sentence for each failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import RunError
from framework.files.json_file import read_json, read_mapping, read_text


def test_values_come_back(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"ä": [1, 2.5, null]}', encoding="utf-8")
    assert read_json(file) == {"ä": [1, 2.5, None]} == read_mapping(file)
    assert read_text(file).startswith('{"ä"')


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "Expecting"),
        (b"\xff{}", "not utf-8 text, byte 0 is 0xff"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 5000, "digits"),
        (b'{"a": 1, "a": 2}', "key 'a' is written twice"),
        (b'{"a": "\\ud800"}', "utf-8"),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(data)
    with pytest.raises(RunError) as caught:
        read_json(file, error=RunError, what="a summary", then="train again")
    assert str(caught.value).startswith(f"{file}: not readable as a summary")
    assert said in str(caught.value)


def test_a_list_is_no_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(RunError, match="expected a JSON object, found a JSON list"):
        read_mapping(tmp_path / "a.json", error=RunError)
