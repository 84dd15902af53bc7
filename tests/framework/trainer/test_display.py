"""Lines where there is no terminal, silence on other ranks."""

from __future__ import annotations

import io
from functools import partial

import pytest
from rich.console import Console

from framework.progress import Pace
from framework.trainer.display import Display

VALUES = {"loss": 0.25, "tiles_per_s": 1234.5, "wait_share": 0.01}


def shown(is_main: bool) -> str:
    stream = io.StringIO()
    with Display(shown=is_main, done=0, steps=100, console=Console(file=stream, width=200)) as display:
        display.step(40, 0.25)
        display.numbers(40, VALUES, seconds_per_step=2.0)
        display.say("saved")
    return stream.getvalue()


def test_a_line_has_loss_rate_and_time_left() -> None:
    assert shown(True).splitlines() == ["step 40/100  loss 0.25  1234 tiles/s  waiting 1.0%  2 min 00 s left", "saved"]


def test_an_interval_in_which_nothing_counted_shows_no_nan() -> None:
    stream = io.StringIO()
    with Display(shown=True, done=0, steps=100, console=Console(file=stream, width=200)) as display:
        display.numbers(40, {"loss": float("nan")}, seconds_per_step=2.0)
    assert stream.getvalue().splitlines()[-1] == "step 40/100  nothing counted in a loss  2 min 00 s left"


def test_other_ranks_are_silent() -> None:
    assert shown(False) == ""


def test_a_terminal_shows_a_bar() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200)
    with Display(shown=True, done=0, steps=100, console=console) as display:
        display.step(40, 0.25)
        display.numbers(40, VALUES, seconds_per_step=2.0)
    assert "40/100" in stream.getvalue()
    assert "loss 0.25" in stream.getvalue()


def test_the_first_step_gives_a_line_with_what_all_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("framework.trainer.display.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with Display(shown=True, done=4, steps=10, console=Console(file=stream, width=200)) as display:
        now[0] += 7.0
        display.step(5, 0.5)
    expected = "step 5/10  loss 0.5  7.0 s with start-up; at most about 35.0 s for the other 5\n"
    assert stream.getvalue() == expected


def test_slow_steps_give_a_line_each_half_minute_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("framework.trainer.display.Pace", partial(Pace, clock=lambda: now[0]))
    stream = io.StringIO()
    with Display(shown=True, done=0, steps=100, console=Console(file=stream, width=200)) as display:
        for done in range(1, 8):
            now[0] += 10.0
            display.step(done, 1.0)
    # The first line is said at 10 s; the next one is due at 40 s, then at 70 s.
    assert stream.getvalue().splitlines()[1:] == ["step 4/100  16 min 00 s left", "step 7/100  15 min 30 s left"]


def test_steps_without_a_loss_are_said_once_with_what_to_check() -> None:
    stream = io.StringIO()
    with Display(shown=True, done=0, steps=30, console=Console(file=stream, width=300)) as display:
        for done in (10, 20):
            display.numbers(done, {"loss": float("nan")}, seconds_per_step=1.0)
        display.numbers(30, {"loss": 0.5}, seconds_per_step=1.0)
    first, *others = stream.getvalue().splitlines()
    assert first == (
        "step 10: no row had a loss in these steps, so nothing was learned from them; check the labels, and that 'by' "
        "of plan and objective name the same columns"
    )
    assert others == [
        "step 10/30  nothing counted in a loss  20.0 s left",
        "step 20/30  nothing counted in a loss  10.0 s left",
        "step 30/30  loss 0.5  0.0 s left",
    ]
