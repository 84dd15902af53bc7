"""Every example of docs/tables.md is a config that its command takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.single_cell.config import SingleCellConfig
from framework.config import StrictModel, parse_config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tables.md"
EXAMPLES = dict(re.findall(r"```yaml\n# ([^\n]+)\n(.*?)```", PAGE.read_text(), re.DOTALL))

PLATES = """\
name: example
channels: [DNA]
nuclei: {channel: DNA, diameter_px: 20}
plates:
  - source:
      name: harmony
      path: raw
    platemap:
      path: raw/map.csv
"""
CELLS = """\
kind: cells
name: example
channels: [BF]
sources:
  - name: run
    reader: {name: cif, path: raw/run.cif}
"""


def indented(text: str, by: int) -> str:
    return "".join(" " * by + line for line in text.splitlines(keepends=True))


def placed(kind: str, text: str) -> tuple[type[StrictModel], str]:
    """Put an example where it belongs in a whole config."""
    if kind == "ingest: a plate map":
        return IngestConfig, PLATES[: PLATES.index("    platemap:")] + indented(text, 4)
    if kind == "ingest: names":
        head, rest = PLATES.split("  - source:")
        return IngestConfig, head + "  -\n" + indented(text, 4) + rest[rest.index("    platemap:") :]
    if kind.startswith("ingest: omics"):
        return IngestConfig, PLATES + text
    if kind == "ingest: tables of cells":
        return CellsIngestConfig, CELLS + indented(text, 4)
    return SingleCellConfig, text


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_is_a_config(kind: str) -> None:
    model, text = placed(kind, EXAMPLES[kind])
    parse_config(text, model, name=f"docs/tables.md: {kind}")


def test_no_example_is_passed_over() -> None:
    assert len(EXAMPLES) == PAGE.read_text().count("```yaml") == 6
