"""One small world for all tests of reports."""

from __future__ import annotations

import pytest
from fixtures.report_world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A small world, shared and never written to."""
    return make_world(tmp_path_factory.mktemp("world"), bags=24, genes=30)
