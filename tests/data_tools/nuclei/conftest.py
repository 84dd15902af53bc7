"""The plate with known nuclei that these tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.labelled_plate import LabelledPlate, write_labelled_plate


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabelledPlate:
    monkeypatch.chdir(tmp_path)
    made = write_labelled_plate(tmp_path)
    (tmp_path / "labels").mkdir()
    return made
