"""What commands write is whole or absent and named in errors: files are written through ``framework.durable``."""

from __future__ import annotations

import ast

import pytest
from architecture.sources import ROOT

PLACES = ("framework", "data_tools", "launch", "wellstream")
CALLS = {"write_bytes", "write_text", "to_csv", "to_parquet", "savez", "savez_compressed", "savefig", "save_file"}
ALLOWED = {
    "framework/durable.py",
    "framework/files/tensors.py",
    # A rank that fails leaves its note while others wait; it is renamed there.
    "framework/distributed/failures.py",
    # Into memory.
    "framework/report/canvas.py",
    # Folders of many files that are renamed when all are there.
    "framework/data/export/omezarr.py",
    "framework/data/export/tiff.py",
    # A count of the system, not a file.
    "framework/run/train/rehearsal.py",
    # A stream that durable opened.
    "data_tools/pipeline/build/parts.py",
    # The temporary folder of a download.
    "data_tools/readers/plates/gallery.py",
}


def bare_writes(tree: ast.AST, inside: bool = False) -> list[int]:
    """Lines that write a file under its own name; what is handed to a writer (a lambda, ``def write``) has another."""
    found = []
    for node in ast.iter_child_nodes(tree):
        handed = inside or isinstance(node, ast.Lambda) or (isinstance(node, ast.FunctionDef) and node.name == "write")
        if isinstance(node, ast.Call) and not handed and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            # durable.write_text is called by its name alone.
            if name in CALLS and (isinstance(node.func, ast.Attribute) or name == "save_file"):
                found.append(node.lineno)
        found += bare_writes(node, handed)
    return found


def test_files_are_written_in_one_step() -> None:
    found = []
    for file in (file for place in PLACES for file in (ROOT / place).rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if name not in ALLOWED and "/simulate/" not in name and "/testing/" not in name:
            found += [f"{name}:{line}" for line in bare_writes(ast.parse(file.read_text()))]
    assert not found, "write through framework.durable, framework.files.csv_writing or h5_writing"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("table.to_csv(path, index=False)", [1]),
        ("text = table.to_csv(index=False)", []),
        ("page.write_text(text)", [1]),
        ("write_text(page, text)", []),
        ("write_with(file, lambda path: path.write_bytes(data))", []),
        ("def write(path):\n    np.savez(path, a=a)", []),
        ("def other(path):\n    np.savez(path, a=a)", [2]),
    ],
)
def test_the_rule_sees_writes_under_a_name(code: str, lines: list[int]) -> None:
    assert bare_writes(ast.parse(code)) == lines
