from __future__ import annotations

import json
from dataclasses import replace
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
    older = json.loads(old.read_text())
    del older["measured_at"]
    (tmp_path / "stream_2cpu_2001-01-01.json").write_text(json.dumps(older))
    results.write("stream", [one(2.0)], quick=False, device="cpu", folder=tmp_path)
    results.write("stream", [one(1.1)], quick=True, device="cpu", folder=tmp_path)
    first, folded = results.page_table(tmp_path).split("<details markdown=")
    assert first.splitlines()[2] == "| stream | 1 of 2 | tar: ours / memcpy: **0.5** (>= 0.65) |"
    assert folded.splitlines()[4:6] == [
        "| stream | tar: ours / memcpy | **0.5** | >= 0.65 | missed |",
        "| stream | tar: waiting | **0.01 share** | <= 0.02 |  |",
    ]


def test_table_names_day_hardware_commit_and_absent_peers(tmp_path: Path) -> None:
    file = results.write("stream", [one(2.0)], quick=False, device="cpu", folder=tmp_path)
    facts = json.loads(file.read_text())
    facts |= {"cpu": "Some CPU", "commit": "abc1234", "measured_at": "2020-02-03T04:05:06+00:00"}
    facts["cases"][0]["absent"] = {"litdata": "No module named 'litdata'\nand more"}
    file.rename(tmp_path / "gone")
    other = tmp_path / "stream_8cpu-x86_64_2020-02-03.json"
    other.write_text(json.dumps(facts))
    del facts["measured_at"]
    other.write_text(json.dumps(facts))
    last = results.page_table(tmp_path).splitlines()[-2:]
    assert last[0] == "stream: 2020-02-03, Some CPU (8cpu-x86_64), commit abc1234."
    assert last[1] == "Absent: litdata (No module named 'litdata')."


def test_results_of_a_gpu_stand_beside_those_of_the_cpu(tmp_path: Path) -> None:
    file = results.write("stream", [one(2.0)], quick=False, device="cpu", folder=tmp_path)
    facts = json.loads(file.read_text())
    facts["device"] = "GPU X"
    (tmp_path / "stream_2cpu-GPU-X_2001-01-01.json").write_text(json.dumps(facts))
    rows = [line for line in results.page_table(tmp_path).splitlines() if "ours / memcpy | " in line]
    assert [row.split(" | ")[0] for row in rows] == ["| stream", "| stream, GPU X"]


def test_a_picture_beside_the_newest_result_is_shown(tmp_path: Path) -> None:
    file = results.write("stream", [one(2.0)], quick=False, device="cpu", folder=tmp_path / "results")
    assert "![" not in results.page_table(file.parent)
    results.picture_of(file).write_text("<svg/>")
    assert f"![stream](../{tmp_path.name}/results/{file.stem}.svg)" in results.page_table(file.parent).splitlines()


def test_a_finding_without_bounds_is_neither_met_nor_missed(tmp_path: Path) -> None:
    free = Finding(name="over an ideal", value=0.8, unit="x")
    results.write("stream", [replace(one(2.0), findings=(free,))], quick=False, device="cpu", folder=tmp_path)
    assert "| stream | tar: over an ideal | **0.8** |  |  |" in results.page_table(tmp_path).splitlines()


def test_a_broken_results_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "stream_2cpu_2001-01-01.json"
    file.write_text("{")
    with pytest.raises(ValueError, match="not a file of results"):
        results.page_table(tmp_path)
    file.write_text('{"theme": "stream"}')
    with pytest.raises(ValueError, match="without cases, commit"):
        results.page_table(tmp_path)


def test_a_page_keeps_all_but_the_table(tmp_path: Path) -> None:
    results.write("stream", [one(1.0)], quick=False, device="cpu", folder=tmp_path)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n")
    results.update_page(page, tmp_path)
    first = page.read_text()
    results.update_page(page, tmp_path)
    assert page.read_text() == first
    assert first.startswith("before\n<!-- benchmarks -->\n| theme")
    assert first.endswith("\n<!-- /benchmarks -->\nafter\n")
    assert "old" not in first
    page.write_text("no markers")
    with pytest.raises(ValueError, match="expected the lines"):
        results.update_page(page, tmp_path)
