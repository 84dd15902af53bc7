"""The example of docs/images.md is a reader of an ingest."""

from __future__ import annotations

import re
from pathlib import Path

from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.readers.cells.multipage import MultipageConfig
from framework.config import parse_config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "images.md"


def test_the_example_is_a_config() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    whole = f"kind: cells\nname: example\nchannels: [DNA]\n{text}"
    (source,) = parse_config(whole, CellsIngestConfig, name="docs/images.md").sources
    assert isinstance(source.reader, MultipageConfig)
    assert source.reader.pages == "channels"
