from __future__ import annotations

import numpy as np
import pytest

from benchmarks.harness import Arm, Costs, Finding, Measured, PeakMemory, Target, WrongPixels, digest, measure


def measured(seconds: dict[str, list[float]], **more: object) -> Measured:
    return Measured(theme="t", case="c", unit="u", items=10, costs=Costs(seconds=seconds), limit="limit", **more)  # type: ignore[arg-type]


def test_ratio_is_the_other_arms_median_time_over_the_arms() -> None:
    result = measured({"limit": [1.0, 9.0, 2.0], "ours": [4.0], "peer": [12.0]})
    assert result.ratio("ours") == 0.5
    assert result.ratio("limit") == 1.0
    assert result.ratio("ours", "peer") == 3.0


def test_only_ratios_below_half_of_a_gating_target_fail_a_run() -> None:
    seconds = {"limit": [1.0], "near": [1.9], "far": [2.1]}
    targets = [Target(arm=arm, over="limit", least=1.0) for arm in ("near", "far")]
    assert measured(seconds, targets=tuple(targets)).far_off() == ["far: 0.476 of limit, target 1"]
    known = Target(arm="far", over="limit", least=1.0, gates=False)
    absent = Target(arm="far", over="a peer that is absent", least=9.0)
    assert measured(seconds, targets=(known, absent)).far_off() == []


def test_findings_without_a_unit_fail_beyond_twice_and_absolute_ones_never() -> None:
    share = Finding(name="waiting", value=0.05, unit="share", most=0.02)
    assert (share.met, share.far_off) == (False, True)
    assert not Finding(name="waiting", value=0.03, unit="share", most=0.02).far_off
    slow = Finding(name="open", value=99.0, unit="s", most=1.0)
    assert (slow.met, slow.far_off) == (False, False)
    assert measured({"limit": [1.0]}, findings=(share, slow)).far_off() == ["waiting: 0.05 share"]


def test_arms_run_interleaved_once_unmeasured() -> None:
    calls: list[str] = []
    arms = [Arm(name=name, work=lambda name=name: calls.append(name)) for name in "ab"]
    costs = measure(arms, 2)
    assert "".join(calls) == "ababab"
    assert {name: len(values) for name, values in costs.seconds.items()} == {"a": 2, "b": 2}


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
    with PeakMemory() as memory:
        block = np.ones(8_000_000)
        for _ in range(20):
            block += 1
        del block
    assert memory.above_start_mb > 30
