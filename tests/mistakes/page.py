"""The page of mistakes, made from the table and what the command answers: ``python -m mistakes.page`` writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mistakes.mistake import Mistake
from mistakes.table_ingest import CELLS, CONFIG, EXPORT, TABLES
from mistakes.table_runs import RESULTS, TRAINING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "mistakes.md"
GROUPS: Mapping[str, tuple[Mistake, ...]] = {
    "In the config of an ingest": CONFIG,
    "Between config and export": EXPORT,
    "In plate maps and omics tables": TABLES,
    "Cells, init and update": CELLS,
    "In training": TRAINING,
    "With what came of it": RESULTS,
}
MISTAKES = tuple(mistake for group in GROUPS.values() for mistake in group)
_HEAD = """\
# Mistakes and answers

This page lists mistakes that newcomers make, and what the command answers. A test makes each of them, on a small
version of the plate of [Ten minutes](../start.md); it fails if an answer changes. The
[exit code](../reference/exit_codes.md) is 2 unless another one is named. One answer tells all mistakes that do not
depend on each other.
"""


def page(answers: Mapping[str, str]) -> str:
    """Return the page: mistake -> answer."""
    parts = [_HEAD]
    for title, group in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(mistake, answers[mistake.done]) for mistake in group]
    return "\n".join(parts)


def answers_of(text: str) -> dict[str, str]:
    """Return the answers that stand on the page."""
    found = re.findall(r"^\*\*(.+?)\*\*.*?\n\n```text\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    return dict(found)


def _entry(mistake: Mistake, answer: str) -> str:
    told = [f"`{_short(new)}` in place of `{_short(old)}` in `{name}`" for name, (old, new) in mistake.changed.items()]
    told.append(f"`wellstream {mistake.typed}`" + (f", exit code {mistake.code}" if mistake.code != 2 else ""))
    return f"**{mistake.done}**: {'; '.join(told)}\n\n```text\n{answer}\n```\n"


def _short(text: str) -> str:
    return " ... ".join(text.replace("\t", "<tab>").splitlines())
