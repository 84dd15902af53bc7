"""Plugins: entry points by name, files only by leave, what is kept of them, and code that changed or fails."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
from fixtures.own_entries import reopened
from fixtures.tiny_run import TRIPLET

from framework import plugins
from framework.errors import ConfigError
from framework.plugins import load_plugins, missing_plugins
from framework.run import load_run_config, parse_run_config
from framework.trainer.schedules import SCHEDULES

SCHEDULE = """from typing import Literal
from framework.trainer.schedules import SCHEDULES, ScheduleConfig
class MineConfig(ScheduleConfig):
    name: Literal["mine"] = "mine"
@SCHEDULES.register("mine", MineConfig)
def mine(options, step, steps):
    return 0.5
"""


class FakePoint(EntryPoint):
    loaded: ClassVar[list[str]] = []

    def load(self) -> None:
        if self.name == "broken":
            raise ImportError("No module named 'other'")
        self.loaded.append(self.name)


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = [FakePoint(name=name, value="x:y", group=plugins.PLUGIN_GROUP) for name in ("mylab", "yours", "broken")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "wellstream.plugins" else [])
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "_names", {})
    monkeypatch.delenv("WELLSTREAM_ALLOW_CODE", raising=False)
    reopened(monkeypatch, SCHEDULES)
    yield
    FakePoint.loaded.clear()


def parsed(text: str, *overrides: str) -> object:
    return parse_run_config(text.format(run="r", data="d"), "run.yaml", overrides)


def test_plugins_are_loaded_before_the_config_is_checked() -> None:
    with pytest.raises(ConfigError, match="no objective is called 'of_mylab'"):
        parsed("plugins: [mylab]\n" + TRIPLET, "objective.name=of_mylab")
    assert FakePoint.loaded == ["mylab"]


def test_an_unknown_plugin_is_named_with_its_line() -> None:
    with pytest.raises(ConfigError) as error:
        parsed("plugins: [mylap]\n" + TRIPLET)
    expected = "run.yaml:1: plugins: no installed package offers the plugin 'mylap'; installed: broken, mylab, yours"
    assert str(error.value) == expected + "; did you mean 'mylab'?"


def test_a_plugin_that_fails_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"run.yaml:1: plugins: the plugin 'broken' fails while it is loaded: Import"):
        parsed("plugins: [broken]\n" + TRIPLET)


def written(folder: Path, name: str = "my_schedule.py", code: str = SCHEDULE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(code)
    config = folder / "run.yaml"
    config.write_text((f"plugins: [./{name}]\n" + TRIPLET).format(run="r", data="d").replace("cosine", "mine"))
    return config


def test_a_config_alone_runs_no_code(tmp_path: Path) -> None:
    config = written(tmp_path / "lab", code=f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ConfigError, match=r"run.yaml:1: plugins: './my_schedule.py' is code, .* add --allow-code"):
        load_run_config(config)
    assert not (tmp_path / "ran").exists()


def test_a_file_is_found_beside_its_config_and_kept_with_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = written(tmp_path / "lab")
    monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
    monkeypatch.chdir(tmp_path)
    found = load_run_config(config)
    assert found.optim.schedule.name == "mine"
    digest = hashlib.sha256(SCHEDULE.encode()).hexdigest()
    assert found.plugins == (f"{tmp_path}/lab/my_schedule.py#sha256={digest}",)
    assert plugins.loaded_plugins() == found.plugins
    assert load_run_config(config) == found  # loaded once
    with caplog.at_level(logging.WARNING):
        load_plugins([f"{tmp_path}/lab/my_schedule.py#sha256={'0' * 64}"])
    assert "was changed since it was written here (SHA-256 000000000000 then" in caplog.text
    (tmp_path / "lab" / "my_schedule.py").write_text(SCHEDULE + "\n")
    with pytest.raises(ConfigError, match="was changed since this process loaded it; start a new process"):
        load_run_config(config)


def test_the_modules_of_a_folder_see_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
    folder = tmp_path / "lab-code"
    folder.mkdir()
    (folder / "a_schedule.py").write_text("from .half import HALF\n" + SCHEDULE.replace("return 0.5", "return HALF"))
    (folder / "half.py").write_text("HALF = 0.5\n")
    (kept,) = load_plugins(["./lab-code"], folder=tmp_path)
    assert SCHEDULES.get("mine").build(None, 0, 1) == 0.5
    (folder / "half.py").write_text("HALF = 0.25\n")
    assert missing_plugins([kept]) == [f"the plugin {folder} was changed since this was made with it"]


def test_code_in_subfolders_is_run_and_belongs_to_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
    folder = tmp_path / "lab"
    (folder / "parts" / "deep").mkdir(parents=True)
    (folder / "parts" / "deep" / "half.py").write_text("HALF = 0.5\nFILE = __file__\n")
    code = "from ..deep.half import FILE, HALF\n" + SCHEDULE.replace("return 0.5", "return HALF")
    (folder / "parts" / "deep" / "again.py").write_text(code)
    (folder / "parts" / "__init__.py").write_text("from .deep import again\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "junk.py").write_text("1 / 0")
    (kept,) = load_plugins([str(folder)])
    assert SCHEDULES.get("mine").build(None, 0, 1) == 0.5
    assert missing_plugins([kept]) == []
    (folder / "parts" / "deep" / "half.py").write_text("HALF = 0.25\n")
    assert missing_plugins([kept]) == [f"the plugin {folder} was changed since this was made with it"]
    (folder / "parts" / "deep" / "half.py").write_text("HALF = 0.5\nFILE = __file__\n")
    assert missing_plugins([kept]) == []
    (folder / "parts" / "new.py").write_text("")
    assert missing_plugins([kept]) != []


def test_a_folder_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
    folder = tmp_path / "failing"
    folder.mkdir()
    (folder / "a.py").write_text("A = 1\n")
    (folder / "b.py").write_text("from .missing import B\n")
    with pytest.raises(ConfigError, match=r"fails while it is loaded: ModuleNotFoundError: .*missing.*b\.py:1"):
        load_plugins([str(folder)])
    assert not [name for name in sys.modules if name.startswith("plugin_failing_")]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", r"fails while it is loaded: ZeroDivisionError: .*my_schedule\.py:1"),
        ("def", r"fails while it is loaded: SyntaxError"),
        ("import no_such_module_here", r"fails while it is loaded: ModuleNotFoundError"),
    ],
)
def test_code_that_fails_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
    with pytest.raises(ConfigError, match=said):
        load_run_config(written(tmp_path, code=code))


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
    with pytest.raises(ConfigError, match=r"plugins: .*/gone\.py: No such file"):
        load_plugins(["./gone.py"], folder=tmp_path)
    with pytest.raises(ConfigError, match=r"no \.py file in this folder"):
        load_plugins([f"{tmp_path}/"])


def test_a_dataset_says_which_of_its_plugins_are_missing(tmp_path: Path) -> None:
    said = missing_plugins(["mylab", "theirs", f"{tmp_path}/gone.py#sha256=00"])
    assert FakePoint.loaded == ["mylab"]
    assert "the plugin 'theirs'" in said[0]
    assert said[1] == f"the plugin {tmp_path}/gone.py is not there any more; put it back to ingest again"
