"""What may come of an input, and what may not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from fuzz.cases import RENAMED, Case
from fuzz.sandbox import Outcome

_LONGEST_SENTENCE = 3000
_OF_PROGRAM = re.compile(
    r"codec can't|Traceback|NoneType|object at 0x|<class '|list index out of|not subscriptable|unhashable type|"
    r"invalid literal for|unsupported operand|object has no attribute|\bWellstreamError\b|\bdtype\('"
)
"""Words that mean something to programmers alone."""


def judged(
    case: Case, outcome: Outcome, valid: Outcome, mapping: dict[str, str], folder: Path, names: set[str]
) -> str | None:
    """Return what is wrong with an outcome, or None.

    Args:
        case: the input.
        outcome: what came of it.
        valid: what comes of the valid input.
        mapping: old name -> new name, where names were changed.
        folder: of the input.
        names: of the files in the valid input.
    """
    if outcome.kind in ("traceback", "crash", "hang"):
        return outcome.kind
    if outcome.kind == "refused":
        return _bad_sentence(outcome.text, folder, names)
    if case.must_be_refused:
        return "silent: read although it has no one right reading"
    expected = json.loads(valid.text)
    if case.mutation == RENAMED:
        expected = _mapped(expected, mapping)
    if case.must_be_equal and json.loads(outcome.text) != expected:
        return "silent: another value was read"
    return None


def _mapped(value: Any, mapping: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, mapping) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, mapping) for item in value]
    return mapping.get(value, value) if isinstance(value, str) else value


def _bad_sentence(text: str, folder: Path, names: set[str]) -> str | None:
    if str(folder) not in text and not any(name in text for name in names):
        return "sentence names no file"
    if len(text) > _LONGEST_SENTENCE:
        return f"sentence of {len(text)} characters"
    found = _OF_PROGRAM.search(text)
    return f"sentence in the words of a program ({found[0]})" if found else None


def commanded(case: Case, folder: Path) -> str | None:
    """Give the input to the real command; return what is wrong, or None."""
    words = [word.format(folder=folder) for word in case.target.command]
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "launch", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return "hang of the command"
    said = ran.stdout + ran.stderr
    if ran.returncode < 0:
        return f"command ended by signal {-ran.returncode}\n{said[-2000:]}"
    if "Traceback (most recent call last)" in said:
        return f"traceback of the command\n{said[-2000:]}"
    if ran.returncode and not said.strip():
        return "command failed without a word"
    return None
