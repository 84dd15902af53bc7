"""Sources of the product: each is read and parsed once, and only what the rules look at is kept of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = ("wellstream", "framework", "data_tools", "experiments", "launch", "benchmarks", "tests")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """What the rules look at.

    Attributes:
        lines: how many it has.
        imports: what it imports, with the line: ``a.b`` of ``from a import b``.
        hidden_imports: those inside functions.
        consoles: lines that call ``Console``.
        functions: name and length of each.
        undocumented: public things without a docstring; the module itself is ``""``.
    """

    lines: int
    imports: tuple[tuple[str, int], ...]
    hidden_imports: tuple[tuple[str, int], ...]
    consoles: tuple[int, ...]
    functions: tuple[tuple[str, int], ...]
    undocumented: tuple[str, ...]


@cache
def source_files() -> tuple[Path, ...]:
    """All modules of the repository."""
    return tuple(sorted(file for top in TOP for file in (ROOT / top).rglob("*.py")))


@cache
def product_files() -> tuple[Path, ...]:
    """Those that are neither tests nor benchmarks."""
    return tuple(file for file in source_files() if file.relative_to(ROOT).parts[0] not in ("tests", "benchmarks"))


@cache
def source(file: Path) -> Source:
    """What the rules look at of a module. The tree itself is not kept: all of them are millions of objects."""
    text = file.read_text()
    return described(text)


def described(text: str) -> Source:
    """See ``source``."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, Function)]
    inside = {id(below): below for node in nodes if isinstance(node, Function | ast.Lambda) for below in ast.walk(node)}
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    return Source(
        lines=len(text.splitlines()),
        imports=tuple(_imports(nodes)),
        hidden_imports=tuple(_imports(list(inside.values()))),
        consoles=tuple(each.lineno for each in calls if isinstance(each.func, ast.Name) and each.func.id == "Console"),
        functions=tuple((node.name, _length(node)) for node in functions),
        undocumented=tuple(_undocumented(tree)),
    )


def _imports(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _length(node: Function) -> int:
    """Lines from ``def`` to the end without the docstring: the caps are about code, not about explaining it."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _undocumented(tree: ast.Module) -> Iterator[str]:
    if not ast.get_docstring(tree):
        yield ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield node.name
            if isinstance(node, ast.ClassDef):
                methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
                bare = [part for part in methods if not part.name.startswith("_") and not ast.get_docstring(part)]
                yield from (f"{node.name}.{part.name}" for part in bare)
