"""Every notebook runs from top to bottom, and was run as it stands: no error and no empty picture in what it shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
QUICK = {"06_several_gpus"}


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=[] if file.stem in QUICK else [pytest.mark.slow]) for file in FILES],
    ids=lambda file: str(file.stem),
)
def test_it_runs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(file, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_what_it_shows_was_made_by_running_it_once(file: Path) -> None:
    cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
    assert not re.search(r"/(tmp|work|home|root)/", str(outputs)), "paths of the machine it ran on"


def test_all_are_listed() -> None:
    listed = (ROOT / "docs" / "notebooks" / "index.md").read_text()
    assert re.findall(r"\((\w+)\.md\)", listed) == [file.stem for file in FILES]
