"""What is wrong with the input, said the same way wherever it lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data_tools.readers.plates import Problem


def relative_text(text: str, base: Path) -> str:
    """Return ``text`` without the folder of the command: equal inputs give equal messages wherever they lie."""
    return text.replace(f"{base}/", "")


def relative(problem: Problem, base: Path) -> Problem:
    """Return a problem whose texts leave out the folder of the command."""
    file = None if problem.file is None else relative_text(problem.file, base)
    return replace(problem, file=file, detail=relative_text(problem.detail, base))
