"""Lines where there is no terminal, silence on other ranks."""

from __future__ import annotations

import io

from rich.console import Console

from framework.trainer.display import Display

VALUES = {"loss": 0.25, "tiles_per_s": 1234.5, "wait_share": 0.01}


def shown(is_main: bool) -> str:
    stream = io.StringIO()
    with Display(shown=is_main, done=0, steps=100, console=Console(file=stream, width=200)) as display:
        display.step(40)
        display.numbers(40, VALUES, seconds_per_step=2.0)
        display.say("saved")
    return stream.getvalue()


def test_a_line_has_loss_rate_and_time_left() -> None:
    assert shown(True).splitlines() == ["step 40/100  loss 0.25  1234 tiles/s  waiting 1.0%  2 min 00 s left", "saved"]


def test_other_ranks_are_silent() -> None:
    assert shown(False) == ""


def test_a_terminal_shows_a_bar() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200)
    with Display(shown=True, done=0, steps=100, console=console) as display:
        display.step(40)
        display.numbers(40, VALUES, seconds_per_step=2.0)
    assert "40/100" in stream.getvalue()
    assert "loss 0.25" in stream.getvalue()
