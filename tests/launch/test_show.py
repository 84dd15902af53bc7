"""What the command line prints of a dataset."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fixtures.tiny_dataset import edit_manifest, make_dataset

from framework.data.dataset import Dataset
from launch import show


def test_inspect_shows_what_the_ingest_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_dataset(tmp_path / "data").root
    edit_manifest(root, notes=["t.csv: 16 of 19 cells have one of its [red]16 rows"])
    show.dataset(Dataset.open(root))
    printed = capsys.readouterr().out
    assert "notes:\n  t.csv: 16 of 19 cells have one of its [red]16 rows\n" in printed
    edit_manifest(root, notes=[])
    show.dataset(Dataset.open(root))
    assert "notes" not in capsys.readouterr().out


def test_what_dask_notes_by_the_way_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    show.log_lines(logging.INFO)
    (handler,) = logging.getLogger().handlers
    for name in ("distributed.worker", "framework.data"):
        for level, said in ((logging.INFO, "by the way"), (logging.WARNING, "look")):
            handler.handle(logging.LogRecord(name, level, __file__, 1, said, None, None))
    assert capsys.readouterr().err.splitlines() == ["look", "by the way", "look"]
