"""Caps: modules of at most 400 lines (median 150), functions of at most 60 (median 12), public things described."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest
from architecture.sources import nodes_of, text_of, tree_of

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    f
    for top in ("wellstream", "framework", "data_tools", "experiments", "launch", "benchmarks", "tests")
    for f in (ROOT / top).rglob("*.py")
)
PRODUCT = [f for f in FILES if f.relative_to(ROOT).parts[0] not in ("benchmarks", "tests")]


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in nodes_of(file) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end without the docstring: the caps are about code, not about explaining it."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_no_module_exceeds_400_lines_and_no_function_60(file: Path) -> None:
    assert len(text_of(file).splitlines()) <= 400
    long = [f"{node.name}: {length(node)} lines" for node in functions(file) if length(node) > 60]
    assert not long, long


def test_medians_stay_small() -> None:
    modules = [len(text_of(f).splitlines()) for f in PRODUCT if f.name != "__init__.py"]
    bodies = [length(node) for f in PRODUCT for node in functions(f)]
    assert statistics.median(modules) <= 150
    assert statistics.median(bodies) <= 12


@pytest.mark.parametrize("file", PRODUCT, ids=lambda f: str(f.relative_to(ROOT)))
def test_public_things_have_docstrings(file: Path) -> None:
    tree = tree_of(file)
    assert ast.get_docstring(tree), "a module says why it exists"
    bare = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                bare.append(node.name)
            if isinstance(node, ast.ClassDef):
                bare += [
                    f"{node.name}.{part.name}"
                    for part in node.body
                    if isinstance(part, ast.FunctionDef)
                    and not part.name.startswith("_")
                    and not ast.get_docstring(part)
                ]
    assert not bare, f"without docstring: {bare}"
