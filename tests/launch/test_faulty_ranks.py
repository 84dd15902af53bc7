"""Rank 1 of a real run fails, stands still or has a fault: the user reads its number and why, and nothing of rank 0."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fixtures.tiny_run import TRIPLET, tiny_data

from framework.distributed import Ending, processes, start_processes

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    tiny_data(folder / "data")
    (folder / "run.yaml").write_text(TRIPLET.format(run=folder / "run", data=folder / "data"))
    return folder / "run.yaml"


def ended(fault: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Ending:
    monkeypatch.setattr(processes, "GRACE_S", 20.0)
    return start_processes("tests.fixtures.faulty_rank", [fault, str(config), f"run_dir={tmp_path / 'run'}", *words], 2)


def test_a_damaged_tile_on_rank_1_is_one_sentence_with_the_rank(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ended("damage", config, tmp_path, monkeypatch)
    assert found.sentences == ("rank 1: data/:x:/[red]shards/00001.tar: tile 7 is damaged; verify it",)
    assert (found.code, found.trace) == (2, "")
    assert "in gather" in found.details


def test_a_rank_that_stands_still_is_named_with_its_stack(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ended("stand", config, tmp_path, monkeypatch, "train.timeout_s=8")
    assert found.code == 124
    assert len(found.sentences) == 1
    assert re.fullmatch(r"rank 1 has not moved for 8 s \(train\.timeout_s\) in step \d+", found.sentences[0])
    assert "thread wellstream-loader" in found.trace
    assert "in never_returns" in found.trace


def test_a_fault_of_a_plugin_names_its_line_and_the_way_to_the_traceback(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ended("plugin", config, tmp_path, monkeypatch)
    assert found.code == 1
    assert len(found.sentences) == 1
    assert found.sentences[0].startswith("rank 1: unexpected AttributeError: 'Batch' object has no attribute 'no_such")
    assert "(faulty_rank.py:" in found.sentences[0]
    assert "--debug" in found.sentences[0]
