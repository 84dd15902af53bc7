"""The files behind nginx that these tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.cached import write_content
from fixtures.web import Nginx, serve


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return write_content(tmp_path / "content")


@pytest.fixture
def web(content: Path, tmp_path: Path) -> Iterator[Nginx]:
    with serve(content, tmp_path / "nginx") as server:
        yield server
