from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.halves import Halves, arithmetic, two_processes
from benchmarks.harness import Costs, measure

MEET_S = 20.0


def leave_name(folder: Path, half: int) -> None:
    (folder / f"{half}-{os.getpid()}").touch()


def meet(folder: Path, half: int) -> None:
    """End only when the other half has begun, which is never if they run in turn."""
    (folder / str(half)).touch()
    end = time.monotonic() + MEET_S
    while not (folder / str(1 - half)).exists():
        assert time.monotonic() < end, "the other half never began"
        time.sleep(0.01)


def test_both_arms_do_both_halves_in_processes_of_their_own(tmp_path: Path) -> None:
    halves = Halves(name="work", function=leave_name, jobs=((tmp_path, 0), (tmp_path, 1)))
    with two_processes() as pool:
        costs = measure(halves.arms(pool), repetitions=1)
    halves_seen, processes = zip(*(file.name.split("-") for file in tmp_path.iterdir()), strict=True)
    assert set(halves_seen) == {"0", "1"}
    assert str(os.getpid()) not in processes
    assert list(costs.seconds) == ["work, two halves in turn", "work, two halves side by side"]


def test_halves_side_by_side_run_at_the_same_time(tmp_path: Path) -> None:
    halves = Halves(name="work", function=meet, jobs=((tmp_path, 0), (tmp_path, 1)))
    with two_processes() as pool:
        halves.arms(pool)[1].work()
    assert {file.name for file in tmp_path.iterdir()} == {"0", "1"}


def test_gain_is_the_median_of_each_repetitions_ratio() -> None:
    halves = Halves(name="work", function=arithmetic, jobs=((1,), (1,)))
    costs = Costs(seconds={halves.in_turn: [2.0, 9.0, 8.0], halves.beside: [1.0, 9.0, 5.0]})
    found = halves.gain(costs)
    assert (found.name, found.value, found.unit) == ("a second process: work", 1.6, "x")
