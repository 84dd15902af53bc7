"""``wellstream verify`` and ``bench``: what is damaged, missing or not installed, and what to type."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from fixtures.command import wellstream
from fixtures.tiny_dataset import make_dataset
from typer.testing import CliRunner

from framework.errors import RunError
from launch.cli import app
from launch.commands import tools


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


def test_a_folder_that_is_not_there_may_have_been_meant_as_either(tmp_path: Path) -> None:
    said = wellstream("verify", "nowhere", cwd=tmp_path)
    assert (said.returncode, said.stderr) == (
        2,
        "wellstream: nowhere: no such dataset folder, and no such run folder; make a dataset with: wellstream ingest "
        "CONFIG, a run with: wellstream train CONFIG\n",
    )


def test_benchmarks_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    result = CliRunner().invoke(app, ["bench", "ingest"])
    assert isinstance(result.exception, RunError)
    assert str(result.exception).endswith("python -m benchmarks ingest")
