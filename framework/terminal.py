"""What people read: consoles that print the letters of a name as they are, and outlive the reader of a pipe.

A file may be called ``[red]plate:x:``. rich would take the brackets as a style and ``:x:`` as a picture, so its markup
is off here, for tables, bars and rules too; every console of the product comes from this module.
"""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from framework.exit_codes import EXIT_OUTPUT_CLOSED


class Terminal(Console):
    """A rich console without markup.

    Args:
        stderr: print on standard error.
        needed: whether printing is the work: then, when nobody reads any more, the process ends with
            ``EXIT_OUTPUT_CLOSED``; else what nobody reads is dropped. None: needed on standard output.
        options: of ``rich.console.Console``.
    """

    def __init__(self, *, stderr: bool = False, needed: bool | None = None, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)
        self._needed = not stderr if needed is None else needed

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        """Print as rich does, but never break a line of text: a path that is cut cannot be copied."""
        if soft_wrap is None:
            soft_wrap = all(isinstance(one, str) for one in objects)
        super().print(*objects, soft_wrap=soft_wrap, **options)

    def on_broken_pipe(self) -> None:
        """Stop printing; called by rich."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        # Python flushes the stream once more at its end.
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
        if self._needed:
            raise SystemExit(EXIT_OUTPUT_CLOSED)


def progress_bar(first: str, console: Console, *, shown: bool, last: str | None = None) -> Progress:
    """Return a bar: a text, done of total, a further text, time gone and time left.

    Args:
        first: format of the text before the bar, such as ``{task.description}``.
        console: where it is drawn.
        shown: False draws nothing.
        last: format of the further text; None for none.
    """
    texts = [] if last is None else [TextColumn(last, markup=False)]
    columns = (
        TextColumn(first, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *texts,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, disable=not shown)
