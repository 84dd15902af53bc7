from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.harness import Costs, Finding, Measured, Target


def one(seconds: float) -> Measured:
    return Measured(
        theme="stream",
        case="tar",
        unit="tiles",
        items=100,
        costs=Costs(seconds={"memcpy": [1.0], "ours": [seconds]}, cpu_seconds={"ours": [0.5]}, peak_mb={"ours": 3.0}),
        limit="memcpy",
        targets=(Target(arm="ours", over="memcpy", least=0.65), Target(arm="ours", over="absent peer", least=4)),
        findings=(
            Finding(name="waiting", value=0.01, unit="share", most=0.02),
            Finding(name="a note", value=7, unit="s"),
        ),
    )


def test_json_holds_ratios_costs_and_versions(tmp_path: Path) -> None:
    path = results.write("stream", [one(2.0)], quick=False, device="cpu", folder=tmp_path)
    facts = json.loads(path.read_text())
    arm = facts["cases"][0]["arms"]["ours"]
    assert (arm["ratio"], arm["per_s"], arm["cpu_s_per_1000"], arm["peak_mb"]) == (0.5, 50.0, 5.0, 3.0)
    assert [target["over"] for target in facts["cases"][0]["targets"]] == ["memcpy"]
    assert {"torch", "litdata", "webdataset"} <= set(facts["versions"])


def test_table_shows_bounds_and_misses_of_the_newest_full_result(tmp_path: Path) -> None:
    old = results.write("stream", [one(1.0)], quick=False, device="cpu", folder=tmp_path)
    old.rename(tmp_path / "stream_2cpu_2001-01-01.json")
    results.write("stream", [one(2.0)], quick=False, device="cpu", folder=tmp_path)
    results.write("stream", [one(1.1)], quick=True, device="cpu", folder=tmp_path)
    rows = results.readme_table(tmp_path).splitlines()[2:4]
    assert rows == [
        "| stream | tar: ours / memcpy | **0.5** | >= 0.65 | missed |",
        "| stream | tar: waiting | **0.01 share** | <= 0.02 |  |",
    ]


def test_readme_keeps_all_but_the_table(tmp_path: Path) -> None:
    results.write("stream", [one(1.0)], quick=False, device="cpu", folder=tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n")
    results.update_readme(readme, tmp_path)
    first = readme.read_text()
    results.update_readme(readme, tmp_path)
    assert readme.read_text() == first
    assert first.startswith("before\n<!-- benchmarks -->\n| theme")
    assert first.endswith("\n<!-- /benchmarks -->\nafter\n")
    assert "old" not in first
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="expected the lines"):
        results.update_readme(readme, tmp_path)
