from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_what_is_registered_is_done_and_python_does_not_take_itself_apart() -> None:
    lines = (
        "import atexit",
        "from framework.distributed import end_rank",
        "class Kept:",
        "    def __del__(self): print('taken apart', flush=True)",
        "kept = Kept()",
        "atexit.register(print, 'registered')",
        "print('not flushed', end=' ')",
        "end_rank(5)",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (5, "not flushed registered\n")


def test_a_rank_that_leaves_threads_of_gloo_at_work_ends_with_its_own_code(tmp_path: Path) -> None:
    """With ``sys.exit`` instead, such a rank ends with SIGABRT in about half of the tries."""
    command = [sys.executable, "-m", "tests.fixtures.hasty_rank", str(tmp_path / "meeting")]
    ranks = [subprocess.Popen([*command, str(rank)], cwd=ROOT, stderr=subprocess.PIPE) for rank in range(2)]
    told = [rank.communicate(timeout=120)[1].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [7, 7], told
