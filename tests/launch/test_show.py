"""What the command line prints of a dataset."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import pytest
from fixtures.tiny_dataset import edit_manifest, make_dataset

from framework.data.dataset import Dataset
from framework.progress import Pace
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


def test_a_long_stage_gives_lines_at_intervals_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(show, "Pace", partial(Pace, clock=lambda: now[0]))
    with show.progress() as report:
        for done in range(9):
            report("shards", done, 9)
            now[0] += 20.0
        report("shards", 9, 9)
    # A line is due 30 s after the last one: at 40 s two shards are done, 20 s each.
    # Rich 13.0 ends what it shows with an empty line.
    assert [line for line in capsys.readouterr().err.splitlines() if line] == [
        "shards: 9",
        "shards: 2 of 9, about 2 min 20 s left",
        "shards: 4 of 9, about 1 min 40 s left",
        "shards: 6 of 9, about 1 min 00 s left",
        "shards: 8 of 9, about 20.0 s left",
    ]
