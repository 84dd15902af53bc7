"""Every example of docs/microscopes.md is a config of its reader, and every reader has a row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from data_tools.readers.plates import READERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "microscopes.md").read_text()
EXAMPLES = re.findall(r"```yaml\n# source\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: str(text).split()[1])
def test_an_example_is_a_config(text: str) -> None:
    plain = yaml.safe_load(text)
    assert READERS.get(plain["name"]).config.from_plain(plain).name == plain["name"]


def test_every_reader_is_listed() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| ", PAGE.partition("## Planes")[0], re.MULTILINE)) == set(READERS.names())
