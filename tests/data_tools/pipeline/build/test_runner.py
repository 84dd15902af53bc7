"""The same bytes from one process and from a Dask cluster, also one that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from distributed.scheduler import KilledWorker

from data_tools.pipeline import PipelineError, ingest
from data_tools.pipeline.build import runner
from data_tools.pipeline.build.runner import DaskRunner, HereRunner, local_cluster

ROOT = Path(__file__).resolve().parents[4]
Tree = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def reference(two_plates: Any, tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> dict[str, str]:
    out = tmp_path_factory.mktemp("reference") / "data"
    ingest(two_plates.config(), out, workers=0)
    return tree(out)


def test_two_workers_write_the_bytes_of_one(
    two_plates: Any, tmp_path: Path, tree: Tree, reference: dict[str, str]
) -> None:
    ingest(two_plates.config(), tmp_path / "data", workers=2)
    assert tree(tmp_path / "data") == reference


def test_a_cluster_killed_in_the_middle_is_picked_up(
    two_plates: Any, tmp_path: Path, tree: Tree, reference: dict[str, str]
) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import json, sys\n"
        "from data_tools.pipeline import IngestConfig, ingest\n"
        "if __name__ == '__main__':\n"
        "    ingest(IngestConfig.from_plain(json.loads(sys.argv[1])), sys.argv[2], workers=2)\n"
    )
    out = tmp_path / "data"
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(two_plates.plain), str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 60
    while not list(out.glob(".build/shard-*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    output = process.communicate(timeout=30)[0].decode()
    assert process.returncode == -signal.SIGKILL, output
    assert not (out / "dataset.json").exists()
    summary = ingest(two_plates.config(), out, workers=0)
    assert summary.shards_reused >= 1
    assert tree(out) == reference


def test_an_address_without_a_scheduler_is_a_sentence(two_plates: Any, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no Dask scheduler answers at 'nowhere://x'"):
        ingest(two_plates.config(), tmp_path / "data", scheduler="nowhere://x")


def test_the_workers_of_a_scheduler_write_the_same_bytes(
    two_plates: Any, tmp_path: Path, tree: Tree, reference: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        monkeypatch.chdir(two_plates.folder)
        ingest(two_plates.config(), tmp_path / "data", scheduler=cluster.scheduler_address)
    assert tree(tmp_path / "data") == reference


class _Future:
    def __init__(self, client: _Client, value: Any) -> None:
        self.client, self.value = client, value

    def exception(self, timeout: float) -> Exception | None:
        return self.value if isinstance(self.value, Exception) else None

    def result(self) -> Any:
        self.client.flying -= 1
        if self.client.lost:
            raise ConnectionResetError(104, "Connection reset by peer")
        return self.value


class _Client:
    """Stands for a Dask client with two workers; runs a job when it is submitted and counts how many are under way."""

    flying = most = 0
    lost = False

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {"a": {}, "b": {}}}

    def submit(self, run: Any, function: Any, job: Any, pure: bool) -> _Future:
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            return _Future(self, run(function, job))
        except Exception as error:
            return _Future(self, error)


def test_results_keep_the_order_of_the_jobs_and_few_are_in_flight() -> None:
    client = _Client()
    assert list(DaskRunner(client).each(lambda job: job * 10, list(range(50)))) == [job * 10 for job in range(50)]
    assert 2 <= client.most <= 6


class Killed(KilledWorker):
    """What Dask raises, without a scheduler's picture of the worker."""

    def __init__(self) -> None:
        Exception.__init__(self)

    def __str__(self) -> str:
        return "make_shard"


def test_workers_that_die_are_a_sentence() -> None:
    def die(job: int) -> int:
        raise Killed

    with pytest.raises(PipelineError, match=r"workers died while they worked on a task \(make_shard\)"):
        list(DaskRunner(_Client()).each(die, [1]))


def test_a_scheduler_that_ends_before_a_finished_value_is_fetched_is_a_sentence() -> None:
    client = _Client()
    client.lost = True
    with pytest.raises(PipelineError, match="the Dask scheduler has ended, or cannot be reached any more"):
        list(DaskRunner(client).each(abs, [-1]))


def test_what_a_task_raises_is_no_lost_connection() -> None:
    def full(job: int) -> int:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        list(DaskRunner(_Client()).each(full, [1]))


def test_shared_values_reach_every_job() -> None:
    assert list(HereRunner().each(pow, [2, 3], 4)) == [16, 81]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_workers_start_is_answered_once_they_are_there_and_can_be_ended_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    done: list[str] = []

    class Cluster:
        def __init__(self, **_: object) -> None:
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            done.append("started")

        def close(self) -> None:
            done.append("closed")

    def stop(_: int, __: object) -> None:
        done.append("answered")
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "LocalCluster", Cluster)
    before = signal.signal(number, stop)
    try:
        with pytest.raises(KeyboardInterrupt), local_cluster(1, tmp_path):
            raise AssertionError
    finally:
        signal.signal(number, before)
    assert done == ["started", "answered", "closed"]
