"""What becomes of ranks: one sentence with the rank that failed, an exit code, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from framework.distributed import Ending, processes, start_processes

pytestmark = pytest.mark.distributed

ROOT = Path(__file__).resolve().parents[3]
RANK = "tests.fixtures.light_rank"
LAUNCHER = f"""
import sys
from framework.distributed import start_processes
if __name__ == "__main__":
    ending = start_processes({RANK!r}, sys.argv[1:], len(sys.argv) - 1)
    print(ending.sentences, flush=True)
    sys.exit(ending.code)
"""


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 2.0)


def ending(*acts: str) -> Ending:
    return start_processes(RANK, [f"{rank}={act}" for rank, act in enumerate(acts)], len(acts))


def test_ranks_that_are_done_say_nothing() -> None:
    assert ending("done", "done") == Ending(code=0)


def test_a_killed_rank_is_named_with_its_signal_and_the_others_are_ended() -> None:
    began = time.monotonic()
    found = ending("wait", "kill")
    assert found.code == 128 + signal.SIGKILL
    assert len(found.sentences) == 1
    assert found.sentences[0].startswith("rank 1 was ended by signal 9 (SIGKILL); if nobody did that, the machine ran")
    assert time.monotonic() - began < 50, "the other rank would have waited a minute"


def test_a_rank_that_ends_without_a_word_is_named_with_its_exit_code() -> None:
    assert ending("code=3", "done") == Ending(code=3, sentences=("rank 0 ended with exit code 3 and did not say why",))


def test_the_first_of_two_errors_comes_first_and_what_all_say_is_said_once() -> None:
    two = ending("says=a.tar: damaged", "done", "says=b.tar: damaged")
    assert sorted(sentence.removeprefix("also ") for sentence in two.sentences) == [
        "rank 0: a.tar: damaged",
        "rank 2: b.tar: damaged",
    ]
    assert [sentence.startswith("also ") for sentence in two.sentences] == [False, True]
    assert two.code == 2
    assert ending("says=no such file", "says=no such file").sentences == ("no such file",)


def test_a_tile_that_all_ranks_read_is_named_with_them() -> None:
    found = ending("reads=a.tar: tile 7 is damaged", "reads=a.tar: tile 7 is damaged")
    assert found == Ending(code=2, sentences=("ranks 0, 1: a.tar: tile 7 is damaged",))


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="a system without SIGUSR1")
def test_a_rank_that_is_halted_is_named_with_its_stack_by_those_who_wait() -> None:
    found = ending("waited", "halt")
    assert found.code == 124
    assert found.sentences == (
        "rank 1 does not move (rank 0 waited more than 1 s (train.timeout_s) for another rank in step 3, which does "
        "not answer)",
    )
    assert "light_rank.py" in found.trace
    assert "in halt_here" in found.trace


def test_modules_of_the_working_folder_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tests/fixtures/light_rank", "launch/__init__", "launch/__main__", "logging", "framework/__init__"):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("import os\nopen('ran', 'w').close()\nos._exit(77)\n")
    monkeypatch.chdir(tmp_path)
    assert ending("done", "done").code == 0
    assert not (tmp_path / "ran").exists()


def launcher(*acts: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a launcher in a process of its own; return it and its ranks, once they run."""
    words = [f"{rank}={act}" for rank, act in enumerate(acts)]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, [psutil.Process(int(process.stdout.readline().split()[2])) for _ in acts]


def test_ranks_end_with_a_launcher_that_is_killed() -> None:
    process, ranks = launcher("wait", "wait")
    process.kill()
    gone, alive = psutil.wait_procs(ranks, timeout=20)
    assert not alive
    assert len(gone) == 2
    process.communicate()


def test_ctrl_c_is_passed_on_and_what_the_ranks_say_is_said() -> None:
    process, ranks = launcher("stop", "stop")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "('stopped; it is checkpointed',)\n")
    assert not any(rank.is_running() for rank in ranks)
