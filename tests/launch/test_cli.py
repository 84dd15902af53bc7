"""The command ``wellstream`` as a whole: help, groups, typing errors, completion."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from fixtures.command import wellstream
from typer.testing import CliRunner

from framework import __version__
from launch import cli
from launch.commands import groups

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = list(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]


def test_help_lists_every_command() -> None:
    result = wellstream("--help")
    assert result.returncode == 0
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = wellstream(command, "--help")
    assert result.returncode == 0
    assert "Usage: wellstream" in result.stdout.replace("python -m launch", "wellstream")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["inspect", "nowhere"],
            "wellstream: nowhere: no such dataset folder; make one with: wellstream ingest CONFIG",
        ),
        (["inspect", "a\x1b[2J\x07"], r"wellstream: a\x1b[2J\x07: no such dataset folder"),
        (["convert", "nowhere", "--out", "x"], "nowhere is not a finished dataset; convert takes one of version 2"),
        (["verify", "nowhere"], "nowhere: no such dataset folder"),
        (["train", "nowhere.yaml"], "nowhere.yaml: no such config file"),
        (["ingest", "nowhere.yaml", "--out", "x"], "nowhere.yaml: no such config file"),
        (["predict", "nowhere", "--out", "x.h5ad"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["export", "nowhere", "--out", "x"], "nowhere: no config.yaml, so this is not a run folder"),
        (["simulate", "plate", "x", "size_pxx=3"], "override 'size_pxx=3': size_pxx: unknown key"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path, words: list[str], message: str) -> None:
    result = wellstream(*words, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr + result.stdout
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = wellstream("inspect", "nowhere", "--debug", cwd=tmp_path)
    assert result.returncode != 0
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train', 'track'?"),
        (["fit"], "No such command 'fit'. There are simulate, init, ingest, update, inspect, convert,"),
        (["simulate", "plat"], "No such command 'plat'. Did you mean 'plate'?"),
        (["train", "x.yaml", "--out", "run"], "the run is written to the key run_dir of the config"),
        (["train", "x.yaml", "--data", "d"], "the key data.path of the config; type data.path=DATASET"),
        (["predict", "run", "--tils", "3"], "No such option: --tils; did you mean '--tiles'? This command has --out,"),
        (["ingest", "x.yaml", "--size", "3"], "Write keys of the config without dashes, as key=value."),
    ],
)
def test_a_typing_error_is_answered_with_what_there_is(words: list[str], said: str) -> None:
    result = CliRunner().invoke(cli.app, words, env={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert said in result.output


def test_commands_stand_in_the_order_of_the_work_in_named_groups() -> None:
    lines = [
        line.strip("│ ") for line in CliRunner().invoke(cli.app, ["--help"], env={"COLUMNS": "200"}).output.split("\n")
    ]
    found = [line.split()[0] for line in lines if line and line.split()[0] in COMMANDS]
    assert found == typer.main.get_command(cli.app).list_commands(None)  # type: ignore[arg-type, attr-defined]
    work = ("simulate", "ingest", "train", "predict", "evaluate", "report", "verify")
    assert [name for name in found if name in work] == list(work)
    panels = [line.strip("╭╮─ ") for line in lines if line.startswith("╭")]
    assert panels[2:] == list(dict.fromkeys(group.PANEL for group in groups()))


def test_the_version() -> None:
    assert wellstream("--version").stdout == f"wellstream {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("wellstream in", ["inspect", "init", "ingest", "inpaint", "intervals"]),
        ("wellstream predict run --part t", ["train", "test"]),
        ("wellstream simulate pl", ["plate"]),
    ],
)
def test_a_shell_completes_commands_and_values(typed: str, offered: list[str]) -> None:
    """The shell's script runs the command with these variables."""
    last = str(len(typed.split()) - 1)
    ran = wellstream(_WELLSTREAM_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=last)
    assert (ran.returncode, sorted(ran.stdout.split())) == (0, sorted(offered)), ran.stderr


def test_help_loads_no_library_of_the_work() -> None:
    """Loading torch takes seconds of CPU; a help takes half of one."""
    code = (
        "import sys; from typer.testing import CliRunner; from launch.cli import app\n"
        "shown = [CliRunner().invoke(app, [*words, '--help']).exit_code for words in ([], ['evaluate'], ['train'])]\n"
        "print(shown, [name for name in ('torch', 'numpy', 'pandas', 'dask') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[0, 0, 0] []\n"


def test_no_command_has_more_than_eight_parameters() -> None:
    functions = [
        each
        for group in groups()
        for each in vars(group).values()
        if inspect.isfunction(each) and each.__module__ == group.__name__
    ]
    assert len(functions) > len(COMMANDS)
    assert all(len(inspect.signature(each).parameters) <= 8 for each in functions)
