"""The stopwatch: its commands are those of the pages, in folders that hold what each newcomer has."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from data_tools.simulate import IfcConfig
from experiments.first_hour import chain
from experiments.first_hour.inputs import imagexpress, phenix, three_things
from framework.errors import ConfigError, InputError


def test_commands_are_those_of_the_pages_with_the_own_export_in_the_place_of_the_simulated_one() -> None:
    found = {task.name: task.commands for task in chain.tasks()}
    init = ("init", "raw", "--platemap", "platemap.csv", "--out", "first", "--omics", "test_l1000.gct")
    assert found["phenix"][0] == init
    assert found["imagexpress"][0] == ("init", "raw", "--out", "first")
    usual = ["init", "ingest", "ingest", "inspect", "train", "train", "embed", "embed", "report"]
    assert [[words[0] for words in found[name]] for name in ("phenix", "imagexpress")] == [usual] * 2
    assert [words[0] for words in found["genes"]][:2] == ["simulate", "init"]
    assert [words[0] for words in found["expression"]][-2:] == ["prepare", "express"]
    assert not any("export/" in word for name in ("phenix", "imagexpress") for word in sum(found[name], ()))


def test_each_command_is_timed_where_its_newcomer_sits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = chain.Task(name="one", prepare=lambda data, folder: (folder / "raw").mkdir(), commands=(("init", "raw"),))
    two = chain.Task(name="two", prepare=lambda data, folder: None, commands=(("train", "a.yaml"), ("embed", "run")))
    monkeypatch.setattr(chain, "tasks", lambda: (one, two))
    seen: list[tuple[str, str]] = []

    def called(words: list[str]) -> int:
        seen.append((Path.cwd().name, words[0]))
        return 3 if words[0] == "embed" and failing else 0

    monkeypatch.setattr("experiments.demo.steps.called", called)
    monkeypatch.setattr(sys, "argv", ["first_hour", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    failing, here = False, Path.cwd()
    assert chain.main() == 0
    assert seen == [("one", "init"), ("two", "train"), ("two", "embed")]
    rows = json.loads((tmp_path / "out" / "first_hour.json").read_text())["commands"]
    assert [row["command"] for row in rows] == [
        "wellstream init raw",
        "wellstream train a.yaml",
        "wellstream embed run",
    ]
    failing = True
    assert chain.main() == 1, "what an earlier try left is removed first"
    assert "'two: embed' ended with exit code 3" in capsys.readouterr().out
    assert Path.cwd() == here


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for prepare in (phenix, imagexpress):
        with pytest.raises(InputError, match="no such file or folder; --data names the folder that holds it"):
            prepare(tmp_path / "nothing", tmp_path)
    few = IfcConfig(cells=2, sequenced_cells=20, foreign_cells=0)
    with pytest.raises(InputError, match=r"begins with 'kind: cells', expected '# NAME\.yaml'"):
        three_things(tmp_path, ["kind: cells"], few)
    monkeypatch.setattr(chain, "DOCS", tmp_path)
    (tmp_path / "page.md").write_text("```console\nls\n```\n")
    with pytest.raises(ConfigError, match=r"docs/page\.md: no block ```console with a command 'wellstream \.\.\.'"):
        chain.typed("page.md")
