"""Bags whose names no reader would tell apart are said (one sample could be in training and in test); so is ``NA``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.survey import survey_cells
from framework.config import parse_config

TEXT = """
kind: cells
name: x
sources:
  - name: S
    reader: {{name: stack, path: {path}, images: images, channels: [a], labels: {{Metadata_Sample: sample}}}}
channels: [a]
tiles: {{size_px: 8}}
bags: {{by: [Metadata_Sample]}}
"""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["mock", "Mock"], ("Metadata_Sample: 'Mock' and 'mock' differ in capitals",)),
        (["\u00e9", "e\u0301"], ("Metadata_Sample: 'e\\u0301' and '\\xe9' differ in capitals, blanks or invisible",)),
        (["mock", "drug"], ()),
        (["1-2", "12"], ()),
        (["NA", "drug"], ("Metadata_Sample: 1 bag is called 'NA', as programs write a missing value",)),
    ],
)
def test_names_of_bags_that_are_nearly_one(tmp_path: Path, names: list[str], said: tuple[str, ...]) -> None:
    file = tmp_path / "cells.npz"
    np.savez(file, images=np.ones((4, 1, 8, 8), np.uint16), sample=np.array(names * 2))
    found = survey_cells(parse_config(TEXT.format(path=file), CellsIngestConfig, "ingest.yaml"), tmp_path)
    assert len(found.bags) == 2
    assert len(found.notes) == len(said)
    assert all(note.startswith(begins) for note, begins in zip(found.notes, said, strict=True))
