"""``wellstream embed --nproc``: what a person sees when ranks share the work, and when one fails or is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.tiny_run import brief_runs, environment, tiny_data
from typer.testing import CliRunner

from framework.distributed import Ending, processes, start_processes
from launch.cli import app

pytestmark = pytest.mark.distributed

LAUNCHER = """
import sys
from framework.distributed import start_processes
ending = start_processes("tests.fixtures.faulty_rank", sys.argv[1:], 2)
print(*ending.sentences, sep="\\n", file=sys.stderr)
sys.exit(ending.code)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    tiny_data(folder / "data")
    brief_runs(folder, "triplet_mil", "marker_regression", "paired_inpainting")
    return folder


def typed(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch", *map(str, words)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("embed", "triplet_mil", "-o", "{out}/tiles.h5ad"), "tiles.h5ad"),
        (("predict", "marker_regression", "--part", "all", "-o", "{out}/markers.h5ad"), "markers.h5ad"),
        (("inpaint", "paired_inpainting", "--part", "all", "-o", "{out}"), "inpainting.json"),
    ],
)
def test_two_processes_write_what_one_writes_and_say_so_once(
    root: Path, tmp_path: Path, words: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, run, *others = words
    done = typed(command, root / run, *(word.format(out="two") for word in others), "--nproc", "2")
    assert done.returncode == 0, done.stderr
    alone = CliRunner().invoke(app, [command, str(root / run), *(word.format(out="one") for word in others)])
    assert alone.exit_code == 0, alone.output + repr(alone.exception)
    assert Path("two", name).read_bytes() == Path("one", name).read_bytes()
    assert done.stdout == alone.stdout.replace("one", "two")
    assert done.stderr.count(f"{command}: ") == 1, done.stderr


def test_a_mistake_is_said_once(root: Path, tmp_path: Path) -> None:
    done = typed("embed", root / "triplet_mil", "-o", tmp_path / "tiles.csv", "--nproc", 2)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "expected a name that ends in .h5ad" in done.stderr
    assert "rank" not in done.stderr


def ended(fault: str, root: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> Ending:
    monkeypatch.setattr(processes, "GRACE_S", 20.0)
    return start_processes("tests.fixtures.faulty_rank", [fault, "embed", str(root / "triplet_mil"), "-o", str(out)], 2)


@pytest.mark.parametrize(
    ("fault", "said", "code"),
    [
        ("damage", "rank 1: data/:x:/[red]shards/00001.tar: tile 7 is damaged; verify it", 2),
        ("damage-all", "ranks 0, 1: data/:x:/[red]shards/00001.tar: tile 7 is damaged; verify it", 2),
        ("kill", "rank 1 was ended by signal 9 (SIGKILL); if nobody did that, the machine ran out of memory", 137),
        ("full", "rank 0: tiles.h5ad: no space left on device", 2),
    ],
)
def test_a_rank_that_fails_is_one_sentence_and_leaves_no_file(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str, code: int
) -> None:
    found = ended(fault, root, tmp_path / "tiles.h5ad", monkeypatch)
    assert [sentence[: len(said)] for sentence in found.sentences] == [said]
    assert found.code == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code", "by"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")])
def test_a_signal_ends_all_ranks_with_one_sentence_and_no_file(
    root: Path, tmp_path: Path, number: int, code: int, by: str
) -> None:
    words = ["slow", "embed", str(root / "triplet_mil"), "-o", str(tmp_path / "tiles.h5ad")]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *words], env=environment(), stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not list(tmp_path.iterdir()) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert said.strip().splitlines()[-1] == f"stopped by {by}; run the same command again to start anew"
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
