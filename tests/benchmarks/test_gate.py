"""The gate with fake arms: what passes, what fails at once, what is measured again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import harness
from benchmarks.gate import judged
from benchmarks.harness import Arm, Costs, Finding, Measured, Target, WrongPixels, measure


def result(ratio: float, peer: str = "limit", share: float = 0.0) -> Measured:
    return Measured(
        theme="t",
        case="c",
        unit="u",
        items=1,
        costs=Costs(seconds={"limit": [ratio], "ours": [1.0]}),
        limit="limit",
        targets=(Target(arm="ours", over=peer, least=1.0),),
        findings=(Finding(name="waiting", value=share, unit="share", most=0.02),),
    )


class Theme:
    """Gives one result after another, and notes with how many repetitions each was asked for."""

    def __init__(self, *results: Measured) -> None:
        self.results = list(results)
        self.repetitions: list[int] = []

    def __call__(self) -> list[Measured]:
        self.repetitions.append(len(measure([Arm(name="a", work=lambda: None)], 2).seconds["a"]))
        return [self.results.pop(0)]


def test_what_reaches_half_of_its_target_passes_at_once() -> None:
    theme = Theme(result(0.6))
    results, failed = judged(theme)
    assert (failed, theme.repetitions) == ([], [2])
    assert results[0].ratio("ours") == 0.6


def test_one_noisy_measurement_is_made_again_with_more_repetitions() -> None:
    theme = Theme(result(0.1), result(0.9))
    results, failed = judged(theme)
    assert (failed, theme.repetitions) == ([], [2, 4])
    assert results[0].ratio("ours") == 0.9


def test_a_true_regression_fails_every_round() -> None:
    theme = Theme(result(0.1), result(0.3), result(0.2))
    _, failed = judged(theme)
    assert failed == ["c: ours / limit = 0.2, target 1"]
    assert theme.repetitions == [2, 4, 6]


def test_two_ratios_that_are_noisy_in_turn_pass() -> None:
    theme = Theme(result(0.1), result(0.9, share=0.5))
    assert judged(theme)[1] == []


def test_a_finding_that_is_far_off_every_time_fails() -> None:
    _, failed = judged(Theme(*(result(1.0, share=0.5) for _ in range(3))))
    assert failed == ["c: waiting = 0.5 share"]


def test_a_peer_that_is_absent_fails_nothing() -> None:
    theme = Theme(result(0.1, peer="a peer that is not installed"))
    assert judged(theme)[1] == []


def test_a_full_run_is_measured_once() -> None:
    theme = Theme(result(0.1))
    assert judged(theme, rounds=1)[1] == ["c: ours / limit = 0.1, target 1"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of an arm returns the seconds it takes."""

    def timed(work: Callable[[], Any]) -> tuple[float, float]:
        seconds = work()
        return seconds, seconds

    monkeypatch.setattr(harness, "_timed", timed)


def theme(seconds: Callable[[], float], pixels: str = "right") -> Callable[..., list[Measured]]:
    """A theme whose limit takes 1 s; ours is to be as fast."""

    def run(quick: bool = True) -> list[Measured]:
        limit = Arm(name="limit", work=lambda: 1.0, result=lambda: "right")
        costs = measure([limit, Arm(name="ours", work=seconds, result=lambda: pixels)], 3)
        target = (Target(arm="ours", over="limit", least=1.0),)
        return [Measured(theme="t", case="c", unit="u", items=1, costs=costs, limit="limit", targets=target)]

    return run


def test_wrong_pixels_fail_without_another_try(clock: None) -> None:
    calls: list[float] = []

    def ours() -> float:
        calls.append(1.0)
        return 1.0

    with pytest.raises(WrongPixels, match="different results"):
        judged(theme(ours, pixels="wrong"))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("seconds", "pixels", "status"),
    [(1.0, "right", 0), (1.9, "right", 0), (2.1, "right", 1), (1.0, "wrong", 1)],
    ids=["even", "near", "slow", "wrong pixels"],
)
def test_the_exit_status_of_a_quick_run(
    seconds: float, pixels: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: None
) -> None:
    module = SimpleNamespace(run=theme(lambda: seconds, pixels))
    monkeypatch.setattr(command, "importlib", SimpleNamespace(import_module=lambda _: module))
    assert command.main(["tiling", "--quick", "--out", str(tmp_path)]) == status


def test_one_disturbed_repetition_is_no_matter(clock: None) -> None:
    taken = [1.0, 1.0, 50.0, 1.0]
    results, failed = judged(theme(lambda: taken.pop(0)))
    assert (failed, taken) == ([], [])
    assert results[0].ratio("ours") == 1.0


def test_a_burst_of_load_is_forgiven(clock: None) -> None:
    """Every repetition of the first round is disturbed, none of the second."""
    taken = [1.0, 50.0, 50.0, 50.0, *([1.0] * 7)]
    results, failed = judged(theme(lambda: taken.pop(0)))
    assert (failed, taken) == ([], [])
    assert len(results[0].costs.seconds["ours"]) == 6
