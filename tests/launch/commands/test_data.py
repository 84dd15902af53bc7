"""``wellstream simulate``: the examples of the help run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.command import wellstream

from launch.commands import data

CLAIMS = {
    **{(f"simulate {kind}", "config"): "the built-in ones" for kind in ("plate", "ifc", "crops")},
    ("ingest", "scheduler"): "workers on this machine",
    ("ingest", "workers"): "one per core",
    # Both are tried in tests/wellstream/test_starts.py.
    ("init", "out"): "the name of the plate",
    ("init", "platemap"): "a template is written",
}
"""(command, option) -> what its help says the default is."""


@pytest.mark.parametrize("command", [data.simulate_plate, data.simulate_ifc, data.simulate_crops])
def test_the_example_of_a_simulator_runs(command: Callable[..., None], tmp_path: Path) -> None:
    example = re.search(r"Example: wellstream (.+)", inspect.getdoc(command) or "")
    assert example, "the help of every simulator shows an example"
    words = example[1].split()
    result = wellstream(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert any((tmp_path / words[2]).iterdir())
