"""What a report page is made of: sections of figures, tables, facts and notes, as plain values the template lays out.

Nothing here is markup: every string is text and the template escapes it, so ``<script>`` as a name stays text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar, TypeAlias

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from framework.report.canvas import width_of


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes:
        source: ``data:`` URI of a PNG or SVG.
        alt: what a reader who does not see it must know.
        caption: what it shows and what to look for.
        width: ``full``, or ``half`` to stand beside another.
    """

    kind: ClassVar[str] = "picture"
    source: str
    alt: str
    caption: str
    width: str = "full"

    @property
    def inches(self) -> float:
        """Width at which its letters have the size that they were drawn with; a narrow screen makes it no smaller."""
        return width_of(self.source)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table; columns listed in ``numeric`` are set flush right."""

    kind: ClassVar[str] = "grid"
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    numeric: frozenset[int] = frozenset()
    width: str = "full"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Named values, in reading order."""

    kind: ClassVar[str] = "facts"
    items: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The few values a reader wants first: (value, what it is)."""

    kind: ClassVar[str] = "numbers"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence, with the command that does something about it.

    Attributes:
        doubt: it stands in the colour of warnings: what the reader sees may not be what was meant.
    """

    kind: ClassVar[str] = "note"
    text: str
    command: str = ""
    doubt: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a page, in a sentence; ``good`` says whether the model is better than its baseline."""

    kind: ClassVar[str] = "answer"
    text: str
    good: bool


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Long preformatted text, folded away under its title."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str


Block: TypeAlias = Picture | Grid | Facts | Numbers | Note | Answer | Listing


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page with an entry in the table of contents.

    Attributes:
        anchor: id of the section, a word.
        title: heading.
        lead: one sentence on what the section answers.
        blocks: its content.
    """

    anchor: str
    title: str
    lead: str
    blocks: Sequence[Block]


@cache
def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals["style"] = Markup(_text("style.css"))  # noqa: S704 (our own file)
    return environment


def _text(name: str) -> str:
    return files("framework.report").joinpath(name).read_text(encoding="utf-8")


def render_well_map(title: str, subtitle: str, data: str) -> str:
    """Return the interactive page of wells.

    Args:
        title, subtitle: above the map.
        data: JSON for its program, without ``<``.
    """
    script = _text("well_map.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        _environment()
        .from_string(_text("well_map.html.j2"))
        .render(
            title=title,
            subtitle=subtitle,
            style=Markup(_text("well_map.css")),  # noqa: S704 (our own file)
            script=Markup(script),  # noqa: S704 (our own file)
            script_hash=f"sha256-{digest}",
            data=Markup(data),  # noqa: S704 (JSON without any character that HTML knows)
        )
    )


def render_page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML that loads nothing from anywhere."""
    template = _environment().from_string(_text("template.html.j2"))
    return template.render(title=title, subtitle=subtitle, sections=sections)
