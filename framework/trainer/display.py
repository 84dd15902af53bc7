"""Progress of a training: a bar on a terminal, lines elsewhere; only on rank 0.

The first line follows the first step, with its loss and what all of them may take; then there is one per log interval,
and one every half minute where steps take long.
"""

from __future__ import annotations

import math
import time
from types import TracebackType

from rich.console import Console

from framework.format import duration
from framework.progress import Pace
from framework.terminal import Terminal, progress_bar

_NOTHING = (
    "no row had a loss in these steps, so nothing was learned from them; check the labels, and that 'by' of plan and "
    "objective name the same columns"
)


class Display:
    """Shows steps done, loss, rate and time left."""

    def __init__(self, *, shown: bool, done: int, steps: int, console: Console | None = None) -> None:
        self._console = console or Terminal(stderr=True)
        self._shown = shown
        self._steps = steps
        self._first = done
        self._began = time.monotonic()
        self._pace = Pace(done)
        self._warned = False
        on_terminal = shown and self._console.is_terminal
        self._bar = progress_bar("train", self._console, shown=on_terminal, last="{task.fields[text]}")
        self._task = self._bar.add_task("train", total=steps, completed=done, text="")

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, done: int, loss: float) -> None:
        """Advance to ``done`` completed steps; ``loss`` is that of the last one."""
        self._bar.update(self._task, completed=done)
        if done == self._first + 1:
            self._after_the_first(done, loss)
        elif not self._console.is_terminal:
            left_s = self._pace.due(done, self._steps)
            if left_s is not None:
                self.say(f"step {done}/{self._steps}  {duration(left_s)} left")

    def _after_the_first(self, done: int, loss: float) -> None:
        """Say what can be said after one step, which takes longer than the others: it fills caches."""
        seconds = time.monotonic() - self._began
        left = self._steps - done
        rest = f"; at most about {duration(left * seconds)} for the other {left}" if left else ""
        self.say(f"step {done}/{self._steps}  loss {loss:.4g}  {duration(seconds)} with start-up{rest}")

    def numbers(self, done: int, values: dict[str, float], seconds_per_step: float) -> None:
        """Show the numbers of an interval."""
        if not self._shown:
            return
        loss = values["loss"]
        if math.isnan(loss) and not self._warned:
            self.say(f"step {done}: {_NOTHING}")
        self._warned |= math.isnan(loss)
        text = "nothing counted in a loss" if math.isnan(loss) else f"loss {loss:.4g}"
        if "tiles_per_s" in values:
            text += f"  {values['tiles_per_s']:.0f} tiles/s  waiting {values['wait_share']:.1%}"
        if self._console.is_terminal:
            self._bar.update(self._task, text=text)
        else:
            self.say(f"step {done}/{self._steps}  {text}  {duration((self._steps - done) * seconds_per_step)} left")

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        if self._shown:
            self._pace.said()
            self._console.print(text)
