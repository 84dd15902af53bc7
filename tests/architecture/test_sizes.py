"""Caps: modules of at most 400 lines (median 150), functions of at most 60 (median 12), public things described."""

from __future__ import annotations

import statistics

from architecture.sources import ROOT, described, product_files, source, source_files


def test_no_module_exceeds_400_lines_and_no_function_60() -> None:
    wrong = []
    for file in source_files():
        found, name = source(file), file.relative_to(ROOT)
        wrong += [f"{name}: {found.lines} lines"] if found.lines > 400 else []
        wrong += [f"{name}: {function} has {lines} lines" for function, lines in found.functions if lines > 60]
    assert not wrong


def test_medians_stay_small() -> None:
    modules = [source(file).lines for file in product_files() if file.name != "__init__.py"]
    bodies = [lines for file in product_files() for _, lines in source(file).functions]
    assert statistics.median(modules) <= 150
    assert statistics.median(bodies) <= 12


def test_public_things_have_docstrings() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}: {name or 'the module says not why it exists'}"
        for file in product_files()
        for name in source(file).undocumented
    ]
    assert not wrong, "without a docstring"


def test_the_rules_see_a_violation() -> None:
    function = 'def f():\n    """Say why.\n\n    At length.\n    """\n    return 1\n'
    found = described(function + 'class A:\n    """A."""\n    def b(self): ...\n')
    assert found.functions == (("f", 2), ("b", 1))
    assert found.undocumented == ("", "A.b")
