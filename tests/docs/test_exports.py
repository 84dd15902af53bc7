"""docs/exports.md names every format, and every option and value that its sections name is one of that format."""

from __future__ import annotations

import re
from pathlib import Path

from framework.config import load_config
from framework.data.export import EXPORTS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "exports.md").read_text()
SECTIONS = {"OME-Zarr": "omezarr", "scPortrait": "h5sc", "TIFF": "tiff", "WebDataset": "webdataset"}


def test_the_table_has_every_format() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == EXPORTS.names()


def test_every_option_that_a_section_names_is_taken() -> None:
    seen = set()
    for section in PAGE.split("\n## ")[1:]:
        name = SECTIONS[section.splitlines()[0]]
        for word in re.findall(r"`(\w+=\w+)`", section):
            load_config({"name": name}, EXPORTS.get(name).config, [word])
            seen.add((name, word.split("=")[0]))
    known = {(name, key) for name in EXPORTS.names() for key in EXPORTS.get(name).config.model_fields if key != "name"}
    assert seen == known
