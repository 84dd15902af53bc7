from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset

from launch import cli

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


@pytest.mark.parametrize("command", [cli.simulate_plate, cli.simulate_ifc, cli.simulate_crops])
def test_the_example_of_a_simulator_runs(command: Callable[..., None], tmp_path: Path) -> None:
    example = re.search(r"Example: wellstream (.+)", inspect.getdoc(command) or "")
    assert example, "the help of every simulator shows an example"
    words = example[1].split()
    result = wellstream(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert any((tmp_path / words[2]).iterdir())


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


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def stale(root: Path) -> None:
    """Leave the table of another build beside the shards."""
    table = pd.read_parquet(root / "tiles.parquet")
    table["offset"] += 512
    table.to_parquet(root / "tiles.parquet", index=False)


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "flipped byte": (
        lambda root: flip(root / "shards/00001.tar"),
        "shards/00001.tar: content differs",
        "rm {root}/shards/00001.tar && wellstream ingest CONFIG --out {root}",
    ),
    "truncated shard": (
        lambda root: os.truncate(root / "shards/00001.tar", 1000),
        "shards/00001.tar: expected",
        "rm {root}/shards/00001.tar && wellstream ingest CONFIG --out {root}",
    ),
    "missing shard": (
        lambda root: (root / "shards/00001.tar").unlink(),
        "shards/00001.tar: missing",
        "wellstream ingest CONFIG --out {root}",
    ),
    "stale index": (stale, "tiles.parquet: ", "rm -r {root} && wellstream ingest CONFIG --out {root}"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_verify_refuses_damage_with_the_command_that_repairs(tmp_path: Path, kind: str) -> None:
    root = make_dataset(tmp_path / "d").root
    assert wellstream("verify", root).returncode == 0
    damage, what, command = DAMAGE[kind]
    damage(root)
    result = wellstream("verify", root)
    said = " ".join(result.stderr.split())
    assert result.returncode == 2
    assert f"{root}/{what}" in said
    assert command.format(root=root) in said
    assert "Traceback" not in result.stderr
