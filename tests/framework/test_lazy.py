"""Names of a stub are loaded at their first use."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from framework.lazy import places_of

STUB = '''"""Names."""

from collections import OrderedDict
from json import dumps as dumps
from json import loads

Ordered = OrderedDict
'''


def test_a_stub_shows_what_any_stub_shows(tmp_path: Path) -> None:
    (tmp_path / "x.pyi").write_text(STUB)
    assert places_of(tmp_path / "x.pyi") == {"dumps": ("json", "dumps"), "Ordered": ("collections", "OrderedDict")}


def test_a_module_with_a_stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_by_stub.pyi").write_text(STUB.replace("json", "wave").replace("dumps", "Wave_read"))
    head = "from framework.lazy import lazily\n"
    (tmp_path / "lazy_by_stub.py").write_text(head + "__getattr__, __dir__, __all__ = lazily(__name__, __file__)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    made = importlib.import_module("lazy_by_stub")
    assert (dir(made), made.__all__) == (["Ordered", "Wave_read"], ["Ordered", "Wave_read"])
    assert "wave" not in sys.modules
    assert made.Wave_read is importlib.import_module("wave").Wave_read
    assert vars(made)["Wave_read"] is made.Wave_read
    with pytest.raises(AttributeError, match="no attribute 'loads'; it has Ordered, Wave_read"):
        made.loads  # noqa: B018
    del sys.modules["lazy_by_stub"]


def test_training_in_one_process_loads_nothing_that_only_others_need() -> None:
    """A second of each command: Accelerate joins ranks, aiohttp reads over HTTP, anndata opens targets."""
    code = (
        "import sys\nimport framework.run.train.fit\n"
        "print([name for name in ('accelerate', 'aiohttp', 'anndata', 'wandb', 'sklearn') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_commands_that_open_no_pixels_do_without_pytorch() -> None:
    """It is the largest part of their start: pages, profiles, figures, checksums, tables of cells."""
    names = (
        "report",
        "figure",
        "retrieve",
        "normalise",
        "aggregate",
        "preview",
        "verify_dataset",
        "prepare",
        "express",
    )
    code = f"import sys, wellstream\nfor name in {names}:\n    getattr(wellstream, name)\nprint('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
