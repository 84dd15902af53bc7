"""The face: cheap to import, complete, and true to the docstring at its head."""

from __future__ import annotations

import asyncio
import code
import doctest
import json
import rlcompleter
import subprocess
import sys
from pathlib import Path

import pytest

import wellstream
from framework.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_at_its_head_runs() -> None:
    found = doctest.testmod(wellstream)
    assert found.attempted > 5
    assert found.failed == 0


def test_importing_loads_no_library_and_every_name_is_there() -> None:
    program = (
        "import json, resource, sys, wellstream\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "heavy = [name for name in ('torch', 'pandas', 'dask', 'numpy', 'matplotlib') if name in sys.modules]\n"
        "missing = [name for name in wellstream.__all__ if getattr(wellstream, name) is None]\n"
        "listed = dir(wellstream) == sorted(wellstream.__all__)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, heavy, missing, listed]))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, heavy, missing, listed = json.loads(ran.stdout)
    assert (heavy, missing, listed) == ([], [], True)
    assert seconds < 3.0  # 0.07 s on an idle machine; the point is that no library is loaded


def test_a_console_shows_results_and_completes_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console = code.InteractiveConsole()
    console.push("import wellstream as ws")
    console.push(f"ws.simulate_crops({str(tmp_path / 'raw')!r}, proteins=2, fields=1, cells_per_field=3)")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "CropsSummary"
    assert any(line.split() == ["cells", "6"] for line in shown)
    completer = rlcompleter.Completer({"ws": wellstream})
    assert str(completer.complete("ws.evaluate_", 0)).startswith("ws.evaluate_features")


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Datset'; it has .*Dataset"):
        wellstream.Datset  # noqa: B018


def test_configs_of_python_are_checked_like_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config: train\.stepz: unknown key; .*did you mean 'steps'"):
        wellstream.fit({"run_dir": "r", "data": {"path": "d"}, "train": {"stepz": 3}})
    with pytest.raises(ConfigError, match=r"config: proteinz: unknown key.*did you mean 'proteins'"):
        wellstream.simulate_crops(tmp_path / "x", proteinz=3)
    with pytest.raises(ConfigError, match=r"config: data\.path: expected text, a number, .* found set"):
        wellstream.fit({"data": {"path": {1}}})


def test_it_works_inside_a_running_event_loop(tmp_path: Path) -> None:
    async def notebook() -> int:
        made = wellstream.simulate_crops(tmp_path / "raw", proteins=2, fields=1, cells_per_field=3)
        pattern = r"(?P<protein>\w+)/\w+?_(?P<field>\d+)_rfp_(?P<cell>\d+)_(?P<channel>...)\.tif"
        reader = {"name": "crops", "path": made.out / "images", "pattern": pattern}
        config = {
            "kind": "cells",
            "name": "x",
            "channels": ("rfp", "gfp"),
            "sources": [{"name": "P", "reader": reader}],
            "tiles": {"size_px": 64, "dtype": "float32"},
        }
        wellstream.ingest(config, tmp_path / "data", workers=1)
        return len(wellstream.Dataset(tmp_path / "data"))

    assert asyncio.run(notebook()) == 6
