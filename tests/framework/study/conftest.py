"""A study of the smallest configs in a folder of its own, which is the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.study_world import World, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return make_world(tmp_path)
