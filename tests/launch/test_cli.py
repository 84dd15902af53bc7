from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "ingest",
    "inspect",
    "train",
    "embed",
    "predict",
    "evaluate",
    "report",
    "verify",
    "bench",
    "doctor",
    "simulate",
]


def wellstream(*words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch", *map(str, words)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=120)


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
        (["verify", "nowhere"], "nowhere: no such dataset folder"),
        (["train", "nowhere.yaml"], "nowhere.yaml: no such config file"),
        (["ingest", "nowhere.yaml", "--out", "x"], "nowhere.yaml: no such config file"),
        (["predict", "nowhere", "--out", "x.h5ad"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
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


def test_a_typo_in_a_command_is_answered_with_the_usage() -> None:
    result = wellstream("trian")
    assert result.returncode == 2
    assert "No such command 'trian'" in result.stderr
    assert "train" in result.stderr
