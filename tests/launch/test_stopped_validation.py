"""A signal during a long validation pass on two ranks: the pass is left between two batches, and the run says so."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.tiny_run import MARKERS, ROOT, environment, tiny_data

pytestmark = pytest.mark.distributed

LAUNCHER = """
import sys
from framework.distributed import start_processes
ending = start_processes("tests.fixtures.slow_validation", sys.argv[1:], 2)
print(*ending.sentences, sep="\\n", file=sys.stderr)
sys.exit(ending.code)
"""
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "tests.fixtures.slow_validation"]
SPLIT = ["split.by=Metadata_Perturbation", "split.train=[P0]", "split.test=[P1]", "split.val=[P2, P3, P4, P5]"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validation")
    tiny_data(folder / "data")
    text = MARKERS.format(run=folder / "run", data=folder / "data").replace("tiles: 16", "tiles: 2")
    (folder / "run.yaml").write_text(text)
    return folder / "run.yaml"


def interrupted(process: subprocess.Popen[str], record: Path, number: int) -> tuple[str, int, int]:
    """Send a signal once the second batch began; return what was said, the batches made, and those of a whole pass."""
    deadline = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < deadline:
        if record.exists() and record.read_text().count("batch") >= 2:
            process.send_signal(number)
            break
        time.sleep(0.01)
    _, said = process.communicate(timeout=240)
    first, *batches = record.read_text().splitlines()
    return said, len(batches), int(first.split()[1])


@pytest.mark.parametrize(
    ("start", "number", "code"),
    [
        (["-c", LAUNCHER], signal.SIGINT, 130),
        (TORCHRUN, signal.SIGTERM, 1),  # torchrun has one code for all that its ranks end with
    ],
)
def test_a_signal_ends_validation_before_its_batches_are_done(
    config: Path, tmp_path: Path, start: list[str], number: int, code: int
) -> None:
    record, run = tmp_path / "record", tmp_path / "run"
    words = [str(record), str(config), f"run_dir={run}", "train.steps=2", "train.evaluate_every=2", *SPLIT]
    process = subprocess.Popen(
        [sys.executable, *start, *words], cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    said, made, whole = interrupted(process, record, number)
    assert process.returncode == code, said
    assert whole > 40
    assert 2 <= made < 20, "the pass ended within a few batches of the signal"
    name = signal.Signals(number).name
    assert said.count(f"stopped by {name} after step 2; it is checkpointed, run the same command again") == 1
    assert "stack" not in said
    assert json.loads((run / "summary.json").read_text())["status"] == "stopped"
    state = json.loads((run / "checkpoints" / "step-00000002" / "state.json").read_text())
    assert state["progress"]["owes_evaluation"] is True
