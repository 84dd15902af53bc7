"""What people read: consoles that print the letters of a name as they are, and outlive the reader of a pipe.

A file may be called ``[red]plate:x:``. rich would take the brackets as a style and ``:x:`` as a picture, so its markup
is off here, for tables, bars and rules too; every console of the product comes from this module. Names and cells of
tables may hold control characters, which a terminal would obey: what is printed instead is their escape, as ``\\x1b``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from framework.exit_codes import EXIT_OUTPUT_CLOSED

# C0 but tab and line feed, DEL and C1; line and paragraph separators; marks that turn the direction of writing.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return ``text`` with its control characters as escapes, so that no terminal obeys them; lines and tabs stay."""
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


class Terminal(Console):
    """A rich console without markup.

    Args:
        stderr: print on standard error.
        needed: whether printing is the work: then, when nobody reads any more, the process ends with
            ``EXIT_OUTPUT_CLOSED``; else what nobody reads is dropped. None: needed on standard output.
        options: options of ``rich.console.Console``.
    """

    def __init__(self, *, stderr: bool = False, needed: bool | None = None, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)
        self._needed = not stderr if needed is None else needed

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        """Print as rich does, but never break a line of text: a path that is cut cannot be copied."""
        if soft_wrap is None:
            soft_wrap = all(isinstance(one, str) for one in objects)
        super().print(*objects, soft_wrap=soft_wrap, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the letters as they are printed, so that the widths of columns are those of the escapes."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is printed; ours and rich's own movements of the cursor are marked as such, and stay."""
        return _visible_segments(super().render(renderable, options))

    def on_broken_pipe(self) -> None:
        """Stop printing; called by rich."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        # Python flushes the stream once more at its end.
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
        if self._needed:
            raise SystemExit(EXIT_OUTPUT_CLOSED)


def _visible_segments(segments: Iterable[Segment]) -> Iterator[Segment]:
    for segment in segments:
        yield segment if segment.control else Segment(visible(segment.text), segment.style)


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
