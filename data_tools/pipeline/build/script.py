"""The script that calls us, which Python runs again in every process that it starts.

A worker begins by importing the script of the process that started it. A script that calls ``ingest`` outside
``if __name__ == "__main__":`` would call it again there, so the worker would never begin.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


@contextmanager
def script_left_alone() -> Iterator[None]:
    """Start processes that do not import the running script, where it has no guard against that.

    Nothing changes for a script with a guard: its workers import it, and so have the readers that it registers.
    """
    main = sys.modules.get("__main__")
    file = _HIDDEN.file(main)
    if main is None or file is None or has_guard(Path(file)):
        yield
        return
    with _HIDDEN.of(main, file):
        yield


def has_guard(script: Path) -> bool:
    """Whether a script asks for ``__name__`` in an ``if`` of its outermost level; True for what cannot be read."""
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return True
    tests = (statement.test for statement in tree.body if isinstance(statement, ast.If))
    return any(isinstance(part, ast.Name) and part.id == "__name__" for test in tests for part in ast.walk(test))


class _Hidden:
    """Takes from a module what ``multiprocessing`` finds its file by, while anyone asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = 0
        self._kept: tuple[str, ModuleSpec | None] = ("", None)

    def file(self, main: ModuleType | None) -> str | None:
        """Return the file of ``main``, also while it is hidden; None for a notebook or a prompt."""
        with self._lock:
            found = self._kept[0] if self._asked else getattr(main, "__file__", None)
        return found if isinstance(found, str) else None

    @contextmanager
    def of(self, main: ModuleType, file: str) -> Iterator[None]:
        """Hide the file of ``main`` until the last of those that ask at the same time ends."""
        with self._lock:
            self._asked += 1
            if self._asked == 1:
                self._kept = file, main.__spec__
                main.__spec__, main.__file__ = None, None
        try:
            yield
        finally:
            with self._lock:
                self._asked -= 1
                if not self._asked:
                    main.__file__, main.__spec__ = self._kept


_HIDDEN = _Hidden()
