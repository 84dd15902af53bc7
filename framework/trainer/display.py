"""What a person sees while a run trains: a bar on a terminal, a line an interval elsewhere; on rank 0 alone."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console

from framework.terminal import Terminal, progress_bar


class Display:
    """Shows steps done, loss, rate and time left."""

    def __init__(self, *, shown: bool, done: int, steps: int, console: Console | None = None) -> None:
        self._console = console or Terminal(stderr=True)
        self._shown = shown
        self._steps = steps
        self._first = done
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

    def step(self, done: int) -> None:
        """Advance to ``done`` completed steps."""
        self._bar.update(self._task, completed=done)

    def numbers(self, done: int, values: dict[str, float], seconds_per_step: float) -> None:
        """Show the numbers of an interval."""
        if not self._shown:
            return
        text = f"loss {values['loss']:.4g}"
        if "tiles_per_s" in values:
            text += f"  {values['tiles_per_s']:.0f} tiles/s  waiting {values['wait_share']:.1%}"
        if self._console.is_terminal:
            self._bar.update(self._task, text=text)
        else:
            self.say(f"step {done}/{self._steps}  {text}  {_left((self._steps - done) * seconds_per_step)} left")

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        if self._shown:
            self._console.print(text)


def _left(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
