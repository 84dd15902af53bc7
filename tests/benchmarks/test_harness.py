from __future__ import annotations

import mmap
import time
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks import harness
from benchmarks.harness import (
    Arm,
    Costs,
    Finding,
    Measured,
    PeakMemory,
    Target,
    WrongPixels,
    digest,
    effort,
    measure,
)


def measured(seconds: dict[str, list[float]], **more: object) -> Measured:
    return Measured(theme="t", case="c", unit="u", items=10, costs=Costs(seconds=seconds), limit="limit", **more)  # type: ignore[arg-type]


def test_ratio_is_the_median_over_repetitions() -> None:
    result = measured({"limit": [1.0, 9.0, 2.0], "ours": [4.0, 9.0, 4.0], "peer": [12.0, 27.0, 8.0]})
    assert result.ratio("ours") == 0.5
    assert result.ratio("limit") == 1.0
    assert result.ratio("ours", "peer") == 3.0


def test_costs_without_an_arm_keep_all_of_the_others() -> None:
    values = {"a": [1.0], "b": [2.0]}
    costs = Costs(seconds=values, cpu_seconds=values, first_s={"a": 3.0}, peak_mb={"a": 4.0, "b": 5.0})
    assert costs.without("a") == Costs(seconds={"b": [2.0]}, cpu_seconds={"b": [2.0]}, first_s={}, peak_mb={"b": 5.0})


def test_arms_measured_apart_are_compared_by_their_medians() -> None:
    assert measured({"limit": [1.0, 9.0, 2.0], "ours": [4.0]}).ratio("ours") == 0.5


def test_a_slow_moment_that_hits_both_arms_is_no_change() -> None:
    assert measured({"limit": [1.0, 1.0, 7.0, 7.0], "ours": [2.0, 2.0, 14.0, 14.0]}).ratio("ours") == 0.5


def test_only_ratios_below_half_of_a_gating_target_fail_a_run() -> None:
    seconds = {"limit": [1.0], "near": [1.9], "far": [2.1]}
    targets = [Target(arm=arm, over="limit", least=1.0) for arm in ("near", "far")]
    found = measured(seconds, targets=tuple(targets)).far_off()
    assert found == {"c: far / limit": "c: far / limit = 0.476, target 1"}
    known = Target(arm="far", over="limit", least=1.0, gates=False)
    absent = Target(arm="far", over="a peer that is absent", least=9.0)
    assert measured(seconds, targets=(known, absent)).far_off() == {}


def test_a_target_may_be_judged_by_cpu_seconds() -> None:
    target = Target(arm="ours", over="limit", least=1.0, clock="cpu")

    def result(cpu: dict[str, list[float]]) -> Measured:
        costs = Costs(seconds={"limit": [1.0], "ours": [9.0]}, cpu_seconds=cpu)
        return Measured(theme="t", case="c", unit="u", items=1, costs=costs, limit="limit", targets=(target,))

    assert result({"limit": [0.8], "ours": [0.9]}).far_off() == {}
    assert list(result({"limit": [0.8], "ours": [1.7]}).far_off()) == ["c: ours / limit"]
    # Where a clock saw nothing, wall time decides.
    assert list(result({"limit": [0.0], "ours": [0.0]}).far_off()) == ["c: ours / limit"]


def test_findings_without_a_unit_fail_beyond_twice_and_absolute_ones_never() -> None:
    share = Finding(name="waiting", value=0.05, unit="share", most=0.02)
    assert (share.met, share.far_off) == (False, True)
    assert not Finding(name="waiting", value=0.03, unit="share", most=0.02).far_off
    slow = Finding(name="open", value=99.0, unit="s", most=1.0)
    assert (slow.met, slow.far_off) == (False, False)
    assert measured({"limit": [1.0]}, findings=(share, slow)).far_off() == {"c: waiting": "c: waiting = 0.05 share"}


def test_arms_run_interleaved_once_unmeasured() -> None:
    calls: list[str] = []
    arms = [Arm(name=name, work=lambda name=name: calls.append(name)) for name in "ab"]
    costs = measure(arms, 2)
    assert "".join(calls) == "ababab"
    assert {name: len(values) for name, values in costs.seconds.items()} == {"a": 2, "b": 2}


def test_effort_multiplies_repetitions() -> None:
    arm = Arm(name="a", work=lambda: None)
    with effort(3):
        assert len(measure([arm], 2).seconds["a"]) == 6
    assert len(measure([arm], 2).seconds["a"]) == 2


def test_preparation_runs_outside_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def timed(work: Callable[[], object]) -> tuple[float, float]:
        calls.append("clock")
        work()
        return 1.0, 1.0

    monkeypatch.setattr(harness, "_timed", timed)
    measure([Arm(name="a", before=lambda: calls.append("before"), work=lambda: calls.append("work"))], 1)
    assert calls == ["before", "work", "before", "clock", "work"]


def test_cpu_seconds_are_those_of_work_not_of_waiting() -> None:
    def busy() -> None:
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass

    arms = [Arm(name="busy", work=busy), Arm(name="waiting", work=lambda: time.sleep(0.02))]
    used = measure(arms, 1).cpu_seconds
    assert used["busy"][0] >= 0.02 > 2 * used["waiting"][0]


def test_the_first_batch_is_timed_apart() -> None:
    calls: list[str] = []
    arm = Arm(name="a", work=lambda: calls.append("all"), first=lambda: calls.append("first"))
    costs = measure([arm], 2)
    assert calls == ["all", "first", "all", "first", "all"]
    assert set(costs.first_s) == {"a"}


def test_arms_that_disagree_void_the_comparison() -> None:
    pixels = np.zeros(3, dtype=np.uint16)
    same = [Arm(name=name, work=lambda: None, result=lambda: digest(pixels)) for name in "ab"]
    assert measure(same, 1)
    with pytest.raises(WrongPixels, match="different"):
        measure([*same, Arm(name="c", work=lambda: None, result=lambda: digest(pixels.astype(np.int32)))], 1)


def test_peak_memory_sees_what_was_freed_again() -> None:
    # Pages of its own, held until the sampling thread has come round: an array could be laid into memory that this
    # process kept from an earlier test, and on a busy machine the thread may wait longer than a fixed piece of work.
    size = 64_000_000
    with PeakMemory() as memory, mmap.mmap(-1, size) as pages:
        pages.write(bytes(size))
        deadline = time.monotonic() + 60
        while memory.above_start_mb < 30 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert 30 < memory.above_start_mb < 150
