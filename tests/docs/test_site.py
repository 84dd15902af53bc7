"""The site builds without network and warnings, its pages ask no other server, and its reference is whole."""

from __future__ import annotations

import html
import re
import socket
from pathlib import Path
from typing import NoReturn

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import wellstream as ws
from framework.config.describe import keys_of
from framework.registry import Registry
from launch.cli import app
from wellstream.configs import KINDS, choices

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|source|audio|video)[^>]*\ssrc=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|<link(?![^>]*rel=["']?canonical)[^>]*\shref=["']?(?:https?:)?//[^"'\s>]+"""
    r"""|url\(\s*["']?(?:https?:)?//[^)]+|@import\s+["'](?:https?:)?//[^"']+""",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built while nothing can be connected to."""

    def refuse(*words: object, **_: object) -> NoReturn:
        raise AssertionError(f"the build asks the network for {words}")

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.chdir(ROOT)
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
        assert config.strict
        build(config)
    return folder


def text(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_no_page_asks_another_server(site: Path) -> None:
    files = [file for kind in ("html", "css", "js") for file in site.rglob(f"*.{kind}")]
    assert len(files) > 60
    asked = {str(file.relative_to(site)): found for file in files if (found := OUTSIDE.findall(file.read_text()))}
    assert not asked
    assert OUTSIDE.search('<link rel="stylesheet" href="https://fonts.example/a.css">')
    assert OUTSIDE.search("<script async src=//cdn.example/a.js>")
    assert not OUTSIDE.search('<a href="https://elsewhere.example">')


def test_every_key_of_every_config_has_a_row(site: Path) -> None:
    pages = {kind: (KINDS[kind], site / "reference" / "files" / f"{kind}.html") for kind in KINDS}
    for kind, (model, page) in pages.items():
        rows = re.findall(r"<tr>\s*<td><code>(\w+)</code></td>", page.read_text())
        waiting, wanted = [model], []
        while waiting:
            keys = keys_of(waiting.pop())
            wanted += [key.name for key in keys if key.several_values]
            waiting += [key.section for key in keys if key.section is not None]
        assert sorted(rows) == sorted(wanted), kind


def test_every_entry_of_every_registry_has_its_heading(site: Path) -> None:
    for kind, registry in choices().items():
        page = (site / "reference" / "choices" / f"{kind}.html").read_text()
        assert set(registry.names()) == set(re.findall(r'<h2 id="([^"]+)"', page)), kind


def test_every_command_has_its_heading_and_options(site: Path) -> None:
    page = text(site / "reference" / "commands.html")
    for group in app.registered_commands:
        name = group.name or getattr(group.callback, "__name__", "").replace("_", "-")
        assert f"wellstream {name}" in page
    assert "wellstream simulate plate" in page
    assert "--nproc" in page


def test_every_name_of_the_face_is_described(site: Path) -> None:
    page = text(site / "reference" / "python.html")
    for name in ws.__all__:
        assert f"ws.{name}" in page, name
    assert "Train, or continue a run, and return it." in page
    registries = [getattr(ws, name) for name in ws.__all__ if isinstance(getattr(ws, name), Registry)]
    assert len(registries) >= 8
    assert all(entry in page for registry in registries for entry in registry.names())


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 150
    for target in re.findall(r"\]\(([^)#]+)", readme):
        assert target.startswith("https://") or (ROOT / target).exists(), target
