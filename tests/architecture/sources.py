"""Sources of the product, each read and parsed once for all rules."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def text_of(file: Path) -> str:
    """The text of a module."""
    return file.read_text()


@cache
def tree_of(file: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(text_of(file))


@cache
def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of a module."""
    return tuple(ast.walk(tree_of(file)))


def imports(nodes: tuple[ast.AST, ...]) -> list[tuple[str, int]]:
    """What is imported, with its line: ``a.b`` of ``from a import b``."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
    return found


@cache
def imports_of(file: Path) -> list[tuple[str, int]]:
    """What a module imports, with its line."""
    return imports(nodes_of(file))


@cache
def is_there(path: Path) -> bool:
    """Whether this is a file."""
    return path.is_file()
