"""A look as one file."""

from __future__ import annotations

from pathlib import Path

from framework.durable import write_text
from framework.files.outputs import check_output_file
from framework.look.values import Look
from framework.report.look.sections import look_sections
from framework.report.page import Section, render_page


def look_page(look: Look, subtitle: str, further: tuple[Section, ...] = ()) -> str:
    """Return the page of a look as HTML that loads nothing from anywhere.

    Args:
        look: what was found.
        subtitle: what it is of.
        further: sections that follow.
    """
    built = [section for entry in look_sections() if (section := entry.build(look)) is not None]
    return render_page(look.name, subtitle, [*built, *further])


def write_look(look: Look, file: Path, subtitle: str, further: tuple[Section, ...] = ()) -> Path:
    """Write the page of a look and return its file."""
    check_output_file(file, ".html")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, look_page(look, subtitle, further))
    return file
