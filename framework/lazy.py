"""Names of a module that are loaded when they are first used. They stand once: in the stub (``.pyi``) beside it.

Type checkers and editors read the stub; the module itself reads it here. As in any stub, ``from a.b import x as x`` is
a name of the module, and ``from a.b import x`` with ``y = x`` gives it another name.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazily(module: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a module with a stub.

    Args:
        module: its ``__name__``.
        file: its ``__file__``.
    """
    places = places_of(Path(file).with_suffix(".pyi"))
    names = sorted(places)

    def load(name: str) -> Any:
        """Load what a name stands for when it is first used."""
        if name not in places:
            raise AttributeError(f"module '{module}' has no attribute '{name}'; it has {', '.join(names)}")
        holder, theirs = places[name]
        found = getattr(importlib.import_module(holder), theirs)
        setattr(sys.modules[module], name, found)
        return found

    return load, lambda: list(names), names


def places_of(stub: Path) -> dict[str, tuple[str, str]]:
    """Return name -> (module that holds it, its name there) of the names that a stub shows."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    imported: dict[str, tuple[str, str]] = {}
    shown: dict[str, tuple[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                imported[alias.name] = str(node.module), alias.name
                if alias.asname == alias.name:
                    shown[alias.name] = imported[alias.name]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            shown |= {target.id: imported[node.value.id] for target in node.targets if isinstance(target, ast.Name)}
    return shown
