"""Two machines with names, addresses and a link of their own: a cut link ends both, and the run goes on exactly."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.hosts import Host, two_hosts, why_not
from fixtures.tiny_run import TRIPLET, environment, same_bits, tiny_data, weights

pytestmark = [pytest.mark.distributed, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

STEPS = 60
LIMIT_S = 3
LONG_S = 900
"""Much longer than a run takes, also on a machine with much other work."""


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as pair:
        yield pair


@pytest.fixture
def config(tmp_path: Path) -> Path:
    tiny_data(tmp_path / "data")
    file = tmp_path / "run.yaml"
    file.write_text(TRIPLET.format(run=tmp_path / "run", data=tmp_path / "data").replace("cosine", "constant"))
    return file


def train(file: Path, *words: str, on: Host | None = None, cwd: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "launch", "train", str(file), *words]
    return subprocess.Popen(
        command if on is None else on.command(command),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        cwd=cwd,
    )


def on_both(hosts: tuple[Host, Host], file: Path, *words: str, cwd: Path | None = None) -> list[subprocess.Popen[str]]:
    place = ("--nodes", "2", "--master", f"{hosts[0].address}:29517", "--node-timeout", str(LIMIT_S))
    return [
        train(file, *words, *place, "--node-rank", str(node), on=host, cwd=None if cwd is None else cwd / host.name)
        for node, host in enumerate(hosts)
    ]


def test_a_cut_link_ends_both_machines_and_the_run_goes_on_to_the_same_bits(
    hosts: tuple[Host, Host], config: Path, tmp_path: Path
) -> None:
    # Far more steps than are made, so that the link is cut within one of them.
    first, second = on_both(hosts, config, "train.steps=4000")
    assert first.stdout is not None
    said = []
    for line in first.stdout:
        said.append(line)
        if line.startswith("step 20/"):
            break
    assert first.poll() is None, said
    hosts[1].link_is("down")
    cut = time.monotonic()
    ends = [each.communicate(timeout=120)[0].splitlines()[-1] for each in (first, second)]
    assert time.monotonic() - cut < 10 * LIMIT_S, "seconds, on a busy machine too; ranks would have waited ten minutes"
    assert [each.returncode for each in (first, second)] == [124, 124]
    for end, other in zip(ends, (1, 0), strict=True):
        silent = f"node {other} ({hosts[other].name}, {hosts[other].address})"
        assert end.startswith(f"wellstream: {silent} has not answered for {LIMIT_S} s (--node-timeout): ")
    hosts[1].link_is("up")
    again = on_both(hosts, config, f"train.steps={STEPS}")
    told = [each.communicate(timeout=LONG_S)[0] for each in again]
    assert [each.returncode for each in again] == [0, 0], told
    assert "resuming from" in told[0]
    unbroken = train(config, f"train.steps={STEPS}", f"run_dir={tmp_path / 'unbroken'}", "--nproc", "2")
    assert unbroken.wait(LONG_S) == 0, unbroken.communicate()
    assert same_bits(weights(tmp_path / "run", STEPS), weights(tmp_path / "unbroken", STEPS))


def test_a_run_folder_of_each_machine_is_refused_with_the_names_of_both(
    hosts: tuple[Host, Host], config: Path, tmp_path: Path
) -> None:
    for host in hosts:
        (tmp_path / host.name).mkdir()
    started = on_both(hosts, config, "run_dir=own", cwd=tmp_path)
    for process in started:
        said, _ = process.communicate(timeout=LONG_S)
        assert process.returncode == 2, said
        assert said.splitlines() == [
            "wellstream: run_dir: not the same folder on all machines: what hosta (rank 0) writes there is not seen by "
            "hostb (rank 1); choose one on storage that all machines share (run_dir=FOLDER); only the dataset may be a "
            "copy on each"
        ]
