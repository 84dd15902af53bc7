"""Running the real ``wellstream`` commands one after another, shown as a person would type them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from framework.durable import write_json
from framework.errors import WellstreamError
from framework.study import StepFailed, called


@dataclass(kw_only=True)
class Protocol:
    """A sequence of commands with the seconds each took.

    Attributes:
        console: where the commands are echoed.
        seconds: (title, seconds) of the commands run so far.
    """

    console: Console
    seconds: list[tuple[str, float]] = field(default_factory=list)

    def run(self, title: str, *arguments: object) -> None:
        """Run ``wellstream ARGUMENTS`` in a process of its own.

        Raises:
            StepFailed: it exited with an error.
        """
        words = [str(argument) for argument in arguments]
        self.console.rule(title, align="left", style="dim")
        self.console.print(f"$ wellstream {shlex.join(words)}")
        start = time.perf_counter()
        code = called(words)
        self.seconds.append((title, time.perf_counter() - start))
        if code:
            raise StepFailed(
                f"'{title}' ended with exit code {code}; correct what it names and run the same command again",
                code,
            )

    def times(self) -> str:
        """Return ``simulate 21 s, ingest 30 s, ... (in all 300 s)``."""
        parts = [f"{title.lower()} {seconds:.0f} s" for title, seconds in self.seconds]
        return f"{', '.join(parts)} (in all {sum(seconds for _, seconds in self.seconds):.0f} s)"


def carried_out(console: Console, work: Callable[[], object]) -> int:
    """Run ``work``; return the exit status: 0, 1 after a sentence on what failed, 130 after Ctrl-C."""
    try:
        work()
    except WellstreamError as error:
        console.print(str(error), style="bold red")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to continue", style="bold red")
        return 130
    return 0


def table_made(
    console: Console,
    file: Path,
    make: Callable[[Protocol], None],
    collect: Callable[[], dict[str, Any]],
    show: Callable[[Console, dict[str, Any]], None],
) -> int:
    """Run the commands behind a table, write what they found to ``file`` and show it; return the exit status."""
    protocol = Protocol(console=console)

    def work() -> None:
        make(protocol)
        found = collect()
        write_json(file, found)
        show(console, found)
        console.print(f"wrote {file}; {protocol.times()}")

    return carried_out(console, work)


def overrides(**values: object) -> Sequence[str]:
    """Return ``a.b=value`` words; a double underscore in a name stands for the dot."""
    return [f"{name.replace('__', '.')}={value}" for name, value in values.items()]
