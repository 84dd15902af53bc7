"""Hooks of mkdocs: pages that are made of the code, of notebooks and of files outside of ``docs``.

Nothing here reads the network. ``make docs`` builds the site, ``tests/docs/test_site.py`` too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import notebook_pages
import reference_commands
import reference_configs
import reference_python
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
GENERATED = "GENERATED"
"""What stands in the navigation of mkdocs.yml for the pages of its heading."""
PLOTS = "../benchmarks/results/"


def on_config(config: Any) -> Any:
    """Make the pages, and put them into the navigation."""
    notebooks = notebook_pages.pages(ROOT / "docs" / "notebooks")
    made = {
        "Notebooks": notebooks,
        "Files": reference_configs.file_pages(),
        "Choices": reference_configs.choice_pages(),
        "Reference": {**reference_commands.page(), **reference_python.page()},
    }
    config.extra["pages"] = {path: text for pages in made.values() for path, (_, text) in pages.items()}
    config.nav = _filled(config.nav, made)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add what was made, the pictures of notebooks, and the plots of the benchmarks."""
    for path, text in config.extra["pages"].items():
        files.append(File.generated(config, path, content=text))
    for path, content in notebook_pages.pictures(ROOT / "docs" / "notebooks").items():
        files.append(File.generated(config, path, content=content))
    for plot in sorted((ROOT / "benchmarks" / "results").glob("*.svg")):
        files.append(File.generated(config, f"assets/{plot.name}", abs_src_path=str(plot)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to plots, which work in the repository, work in the site."""
    above = "../" * page.file.src_uri.count("/")
    return markdown.replace(f"{above}{PLOTS}", f"{above}assets/")


def _filled(nav: list[Any], made: dict[str, dict[str, tuple[str, str]]]) -> list[Any]:
    found: list[Any] = []
    for item in nav:
        if not isinstance(item, dict):
            found.append(item)
            continue
        for title, below in item.items():
            if isinstance(below, list):
                at = below.index(GENERATED) if GENERATED in below else len(below)
                inside = [{name: path} for path, (name, _) in made[title].items()] if GENERATED in below else []
                found.append({title: _filled([*below[:at], *inside, *below[at + 1 :]], made)})
            else:
                found.append({title: below})
    return found
