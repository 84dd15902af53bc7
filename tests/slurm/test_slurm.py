"""Jobs on a Slurm that runs: two machines train, are preempted, are queued again and go on; workers of a job ingest.

``make test-slurm`` runs this. ``cluster.sh`` beside it starts and stops a Slurm of this machine with two nodes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from fixtures.tiny_run import TRIPLET, environment, tiny_data

import wellstream as ws

MISSING = [name for name in ("slurmctld", "slurmd", "munged", "sbatch", "srun") if shutil.which(name) is None]
WHY_NOT = (
    f"no {', '.join(MISSING)} (Debian: apt-get install slurm-wlm munge)"
    if MISSING
    else "starting Slurm needs root"
    if os.geteuid()
    else ""
)
pytestmark = [pytest.mark.slow, pytest.mark.distributed, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]

SCRIPT = Path(__file__).with_name("cluster.sh")
LONG_S = 600.0
"""Much longer than anything takes; a machine with ten times the work of its cores needs half of it."""
CLUSTER = {"slurm": {"partition": "low", "cpus": 1, "options": ["--spread-job"]}}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables of the environment with which commands find the Slurm."""
    folder = tmp_path_factory.mktemp("slurm")
    try:
        started = subprocess.run(
            [SCRIPT, "start", folder], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        assert started.returncode == 0, started.stdout + started.stderr
        yield {**environment(), "SLURM_CONF": str(folder / "slurm.conf")}
    finally:
        subprocess.run([SCRIPT, "stop", folder], check=False)


def said(slurm: dict[str, str], *words: object, cwd: Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run([*map(str, words)], env=slurm, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def submitted(slurm: dict[str, str], *words: object, cwd: Path) -> str:
    """Submit a command of ours and return the number of its job."""
    (cwd / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER))
    command = (sys.executable, "-m", "launch", *words, "--on", "slurm", "--cluster", "cluster.yaml")
    return said(slurm, *command, cwd=cwd).split()[-1]


def wait_for(reached: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + LONG_S
    while not reached():
        assert time.monotonic() < until, log.read_text() if log.exists() else f"no {log}"
        time.sleep(0.2)


def test_a_run_on_two_machines_is_preempted_and_goes_on_and_ends_when_it_is_cancelled(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    tiny_data(tmp_path / "data")
    (tmp_path / "run.yaml").write_text(TRIPLET.format(run="run", data="data").replace("cosine", "constant"))
    job = submitted(slurm, "train", "run.yaml", "train.steps=1000000", "--nodes", "2", cwd=tmp_path)
    log = tmp_path / f"wellstream-train-run-{job}.out"

    def trains(starts: int) -> bool:
        """Whether the job has started so often and made a step since."""
        parts = log.read_text().split("triplet_mil on data") if log.exists() else []
        return len(parts) == starts + 1 and "\nstep " in parts[-1]

    def facts() -> dict[str, str]:
        text = said(slurm, "scontrol", "show", "job", job, "--oneliner", cwd=tmp_path)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    wait_for(lambda: trains(1), log)
    assert "CPU, 2 processes of 1 thread" in log.read_text()
    assert facts()["NumNodes"] == "2"
    # It wants all cores of both machines, and its partition may take them from others.
    first = ["sbatch", "--parsable", "--partition=high", "--nodes=2", "--ntasks=8", "--wrap=true", "--output=other.out"]
    other = said(slurm, *first, cwd=tmp_path).strip()
    wait_for(lambda: trains(2), log)
    assert "stopped by SIGTERM after step" in log.read_text()
    assert "resuming from run/checkpoints/step-" in log.read_text()
    assert facts()["Restarts"] == "1"
    assert "JobState=COMPLETED" in said(slurm, "scontrol", "show", "job", other, cwd=tmp_path)
    # As Slurm tells the script when its time is nearly up (--signal=B:TERM@120).
    said(slurm, "scancel", "--batch", "--signal=TERM", job, cwd=tmp_path)
    wait_for(lambda: trains(3), log)
    assert facts()["Restarts"] == "2"
    said(slurm, "scancel", job, cwd=tmp_path)
    wait_for(lambda: facts()["JobState"] == "CANCELLED" and facts()["EndTime"] != "Unknown", log)
    assert facts()["Restarts"] == "2", "who cancels a job does not want it again"
    proof = ws.verify_run(tmp_path / "run")
    assert any("exactly once" in sentence for sentence in proof.sentences), proof.sentences


def test_workers_on_two_machines_ingest_what_one_process_would(slurm: dict[str, str], tmp_path: Path) -> None:
    ws.simulate_plate(tmp_path / "raw", perturbations=3, rows=4, columns=4, sites=1, size_px=220, cells_per_site=8)
    config = {
        "name": "first",
        "plates": [{"source": {"name": "harmony", "path": "raw/SIM"}, "platemap": {"path": "raw/platemap.csv"}}],
        "channels": ["Hoechst"],
        "nuclei": {"channel": "Hoechst", "diameter_um": 14.4},
        "tiles": {"size_px": 32},
    }
    (tmp_path / "plate.yaml").write_text(yaml.safe_dump(config))
    job = submitted(slurm, "ingest", "plate.yaml", "--out", "data", "--nodes", "2", "--workers", "1", cwd=tmp_path)
    log = tmp_path / f"wellstream-ingest-plate-{job}.out"

    def state() -> str:
        text = said(slurm, "scontrol", "show", "job", job, "--oneliner", cwd=tmp_path)
        return next(word.partition("=")[2] for word in text.split() if word.startswith("JobState="))

    wait_for(lambda: state() in ("COMPLETED", "FAILED", "CANCELLED"), log)
    meet = tmp_path / f".wellstream-dask-{job}"
    assert state() == "COMPLETED", log.read_text() + "".join(file.read_text() for file in meet.glob("*.log"))
    assert not meet.exists()
    said(slurm, sys.executable, "-m", "launch", "ingest", "plate.yaml", "--out", "here", "--workers", "0", cwd=tmp_path)
    assert contents(tmp_path / "data") == contents(tmp_path / "here")


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of every file of a dataset."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
