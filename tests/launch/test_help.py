"""Help is true: each "default:" it names is what happens, and each default it shows is that of the call in Python."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import MARKERS, PAIRS, config, tiny_data
from typer.testing import CliRunner

import wellstream
from data_tools import simulate
from data_tools.pipeline.build import runner
from framework.files.h5ad import read_h5ad
from framework.run import fit
from launch.cli import app
from launch.command import unwrapped


def claims() -> dict[tuple[str, str], str]:
    """(command, option) -> what its help says the default is: ``CLAIMS`` of each file of ``launch/commands``.

    Those that name no value of a config are tried below, or beside the claim.
    """
    found: dict[tuple[str, str], str] = {}
    for file in sorted((Path(__file__).parent / "commands").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"claims_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= getattr(module, "CLAIMS", {})
    return found


def options() -> Iterator[tuple[str, Any]]:
    """Yield (command, option) of the whole command line."""
    waiting = [("", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        waiting += [(f"{name} {each}".strip(), found) for each, found in getattr(command, "commands", {}).items()]
        yield from ((name, parameter) for parameter in command.params)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_every_default_that_a_help_names_is_listed_here() -> None:
    named = {
        (command, option.name): found[1]
        for command, option in options()
        if (found := re.search(r"default: (.+)$", getattr(option, "help", None) or ""))
    }
    assert named == claims()


def calls_of(command: str) -> list[Callable[..., object]]:
    """The calls of Python that the help of a command names: of the face, or of an opened run."""
    found = typer.main.get_command(app)
    for word in command.split():
        found = found.commands[word]  # type: ignore[attr-defined]
    names = re.findall(r"\.(\w+)\(", (found.help or "").partition("Python:")[2])
    assert all(name in wellstream.__all__ or hasattr(wellstream.Run, name) for name in names), command
    return [getattr(wellstream if name in wellstream.__all__ else wellstream.Run, name) for name in names]


COMMANDS = sorted({command for command, _ in options()})


def test_most_commands_name_their_call_of_python() -> None:
    """Those that do not are ``wellstream`` itself, and ``bench`` and ``doctor``, which are about this machine."""
    assert [name for name in COMMANDS if not calls_of(name)] == ["", "bench", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_default_that_is_shown_is_that_of_the_call(command: str) -> None:
    own = {
        name: parameter.default
        for call in calls_of(command)
        for name, parameter in inspect.signature(call).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    for option in (option for name, option in options() if name == command):
        value = own.get(option.name)
        if option.default is None or value is None or isinstance(value, bool):
            continue  # a command writes a page unless it is told not to, a call does as it is told
        assert str(option.default) == (",".join(map(str, value)) if isinstance(value, tuple) else str(value)), option


def test_defaults_are_compared_for_many_options() -> None:
    shown = {(command, option.name) for command, option in options() if option.default is not None}
    assert {("embed", "views"), ("predict", "part"), ("inpaint", "panels"), ("train", "resume")} <= shown


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and the short runs ``markers`` and ``pairs``."""
    folder = tmp_path_factory.mktemp("help")
    tiny_data(folder / "data")
    fit(config(MARKERS, run=folder / "markers", data=folder / "data"))
    short = ("train.steps=2", "train.save_every=2", "train.evaluate_every=2")
    fit(config(PAIRS, *short, run=folder / "pairs", data=folder / "data"))
    return folder


def test_data_is_the_dataset_of_the_run_or_of_the_predictions(world: Path, tmp_path: Path) -> None:
    run("embed", world / "markers", "-o", tmp_path / "e.h5ad")
    run("predict", world / "markers", "-o", tmp_path / "p.h5ad")
    for name in ("e", "p"):
        assert read_h5ad(tmp_path / f"{name}.h5ad").uns["wellstream"]["dataset_path"] == str(world / "data")
    run("export", world / "pairs", "-o", tmp_path / "export", "--no-program")
    side = json.loads((tmp_path / "export" / "model.json").read_text())["input"]["height"]
    assert side == wellstream.Dataset(world / "data").opened.manifest.tile.height
    run("saliency", world / "markers", "-o", tmp_path / "s.npz", "--tiles", "2")
    assert (tmp_path / "s.npz").is_file()
    run("evaluate", tmp_path / "p.h5ad", "-o", tmp_path / "scores", "resamples=100")
    summary = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    assert (summary["kind"], summary["options"]["resamples"]) == ("markers", 100)
    assert all(row["r_linear"] is not None for row in summary["rows"]), "the linear baseline needs the dataset"


def test_a_report_is_made_of_what_the_run_names_and_stays_in_it(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("inpaint", world / "pairs", "--part", "train", "--panels", "1")
    assert (world / "pairs" / "inpainting" / "inpainting.json").is_file()
    run("predict", world / "markers", "-o", tmp_path / "p.h5ad")
    run("evaluate", tmp_path / "p.h5ad", "-o", world / "markers" / "evaluation", "resamples=100")
    said = run("report", world / "markers")
    page = world / "markers" / "report.html"
    assert said == f"report: {page}\n"
    text = page.read_text()
    assert 'id="markers"' in text
    assert 'id="plates"' in text, "plates are drawn from the dataset"
    monkeypatch.chdir(world)
    assert run("report", "markers") == "report: markers/report.html\n", "as it was typed"


def test_a_dataset_that_is_gone_or_another_one_is_said(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run("predict", world / "markers", "-o", tmp_path / "p.h5ad")
    (world / "data").rename(world / "moved")
    try:
        said = run("evaluate", tmp_path / "p.h5ad", "-o", tmp_path / "scores", "resamples=100")
        assert "the dataset that the predictions name cannot be used" in said
        assert f"{world}/data: no such dataset folder" in said
        run("report", world / "markers", "-o", tmp_path / "r.html")
        assert "The dataset that the run trained on cannot be used" in caplog.text
        assert "The dataset that the run trained on cannot be used" in (tmp_path / "r.html").read_text()
        make_dataset(world / "data", bags=12, markers=("m1", "m2"))
        said = run("evaluate", tmp_path / "p.h5ad", "-o", tmp_path / "scores", "resamples=100")
        assert f"{world}/data is not in the state the predictions were made on" in said
        run("report", world / "markers", "-o", tmp_path / "r.html")
        assert f"{world}/data is not in the state that the run trained on" in caplog.text
    finally:
        shutil.rmtree(world / "data", ignore_errors=True)
        (world / "moved").rename(world / "data")


def test_features_are_of_all_channels(world: Path, tmp_path: Path) -> None:
    run("features", world / "data", "-o", tmp_path / "i.h5ad")
    channels = wellstream.Dataset(world / "data").channels
    assert read_h5ad(tmp_path / "i.h5ad").n_vars == 5 * len(channels)
    run("features", world / "data", "-o", tmp_path / "c.h5ad", "--kind", "classic", "--protein", "B", "--scales-px", 1)
    facts = read_h5ad(tmp_path / "c.h5ad").uns["wellstream"]
    assert list(facts["structure"]) == [name for name in channels if name != "B"]
    compared = tmp_path / "compared"
    words = ("--label", "Metadata_Perturbation", "--no-report", "--resamples", 100)
    for folder, group in ((compared, ()), (tmp_path / "same", ("--group", "bag,site"))):
        run("evaluate-features", tmp_path / "i.h5ad", "-o", folder, *words, *group)
    rows = [json.loads((folder / "evaluation.json").read_text())["rows"] for folder in (compared, tmp_path / "same")]
    assert rows[0] == rows[1]


def test_simulators_have_their_own_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}
    for name, model in (("plate", "PlateConfig"), ("ifc", "IfcConfig"), ("crops", "CropsConfig")):

        def write(settings: object, out: Path, progress: object, name: str = name) -> None:
            told[name] = settings
            raise KeyboardInterrupt

        monkeypatch.setattr(simulate, f"simulate_{name}", write)
        CliRunner().invoke(app, ["simulate", name, str(tmp_path / "x")])
        assert told[name] == getattr(simulate, model)()


def test_ingest_takes_all_cores_and_express_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def cluster(workers: int, scratch: Path) -> None:
        started.append(workers)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "local_cluster", cluster)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)), raising=False)
    with pytest.raises(KeyboardInterrupt), runner.open_runner(None, None, 1000, tmp_path):
        pass
    assert started == [7]
    given = {(name, option.name): option.default for name, option in options()}
    assert [given["ingest", name] for name in ("scheduler", "workers")] == [None, None]
    assert (
        inspect.signature(wellstream.express).parameters["scheduler"].default is given["express", "scheduler"] is None
    )


def test_lines_of_a_help_end_where_the_terminal_ends() -> None:
    full = "word " * 23
    assert len(full.strip()) == 114
    assert (
        unwrapped(f"{full.strip()}\nnext one.\n\nExample: a\nPython: b") == f"{full}next one.\n\nExample: a\nPython: b"
    )
    assert (
        unwrapped(f"{full.strip()}\na short word would have fitted")
        == f"{full.strip()}\na short word would have fitted"
    )
