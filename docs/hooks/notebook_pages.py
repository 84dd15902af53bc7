"""Pages of the notebooks: their text, their code and what it printed and drew when it was last run."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

Pages = dict[str, tuple[str, str]]


def pages(folder: Path) -> Pages:
    """Return the page of each notebook of a folder, in the order of their names."""
    return {f"notebooks/{file.stem}.md": _page(file) for file in sorted(folder.glob("*.ipynb"))}


def pictures(folder: Path) -> dict[str, bytes]:
    """Return path -> PNG of all pictures in the outputs of the notebooks."""
    return {
        f"notebooks/{_picture(file, cell, output)}": base64.b64decode(png)
        for file in sorted(folder.glob("*.ipynb"))
        for cell, output, png in _drawn(file)
    }


def _picture(file: Path, cell: int, output: int) -> str:
    return f"{file.stem}_{cell}_{output}.png"


def _cells(file: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return cells


def _drawn(file: Path) -> list[tuple[int, int, str]]:
    return [
        (place, number, output["data"]["image/png"])
        for place, cell in enumerate(_cells(file))
        for number, output in enumerate(cell.get("outputs", ()))
        if "image/png" in output.get("data", {})
    ]


def _page(file: Path) -> tuple[str, str]:
    parts = []
    title = file.stem
    for place, cell in enumerate(_cells(file)):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            found = re.match(r"# (.+)", source)
            title = found[1] if found and title == file.stem else title
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts += [_output(file, place, number, each) for number, each in enumerate(cell["outputs"])]
    where = f"*This page is the notebook `docs/notebooks/{file.name}`, as it was last run.*"
    return title, "\n\n".join([parts[0], where, *parts[1:]]) + "\n"


def _output(file: Path, cell: int, number: int, output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![output]({_picture(file, cell, number)})"
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"``` {{ .text .output }}\n{text.rstrip()}\n```" if text.strip() else ""
