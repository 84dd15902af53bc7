"""Audit files that were edited: the first line that cannot be is named with its step, and sizes are never believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framework.errors import RunError
from framework.tracking import AuditLog, next_attempt, read_audit
from framework.tracking.audit import Header


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Attempt 0 made steps 0 to 3 on two ranks, attempt 1 steps 2 to 4 on one."""
    two, one = Header(start=0, parent=None, world=2), Header(start=2, parent=0, world=1)
    for rank, attempt, header, steps in ((0, 0, two, 4), (1, 0, two, 4), (0, 1, one, 3)):
        log = AuditLog(tmp_path, rank=rank, attempt=attempt, header=header)
        for step in range(header.start, header.start + steps):
            log.append(step, rows=4, digest=step)
        log.close()
    return tmp_path


def edit(run: Path, rank: int, old: str, new: str) -> None:
    file = run / "audit" / f"rank-{rank:05d}.jsonl"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def refusal(run: Path) -> str:
    with pytest.raises(RunError, match="so it proves nothing") as refused:
        read_audit(run)
    return str(refused.value)


def test_a_sound_audit_is_read(run: Path) -> None:
    trail = read_audit(run)
    assert list(trail.files[0].attempts[1].digests) == [2, 3, 4]
    assert trail.records[0, 3] == [(0, 4, 3), (1, 4, 3)]
    assert trail.files[0].place(1, 3).endswith("rank-00000.jsonl:8: step 3 (attempt 1)")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"step":4,"rows":4', '"step":4,"rows":5', ":9: step 4 (attempt 1): its link is not that"),
        ('"attempt":1,"step":3', '"attempt":0,"step":3', ":8: expected step 3 (attempt 1), found step 3 (attempt 0)"),
        ('"attempt":1,"step":3', '"attempt":1,"step":999999999999', ":8: expected step 3 (attempt 1), found step 9999"),
        ('"world":1', '"world":999999999999', ":6: header of attempt 1 at step 2: its link"),
        ('"world":1', '"world":0', ":6: attempt 1 ran on 0 rank(s), so rank 0 has no part"),
        ('"start":2', '"start":1', ":6: header of attempt 1 at step 1: its link"),
        ('"start":2', '"start":' + "9" * 400, ":6: this line is not an audit record"),
        ('"start":2', '"start":-2', ":6: this line is not an audit record"),
        ('"attempt":1,"start"', '"attempt":0,"start"', ":6: a header of attempt 0 after one of attempt 0"),
        ('"attempt":1,"start"', '"attempt": 1,"start"', "belongs"),
        ('"attempt":1,"start":2', "x" * 100_000, ":6: this line is not an audit record"),
        ('"attempt":1,"start":2', '"attempt":1,"attempt":1,"start":2', ":6: this line is not an audit record"),
    ],
)
def test_an_edited_line_is_named(run: Path, old: str, new: str, told: str) -> None:
    edit(run, 0, old, new)
    assert told in refusal(run)


def test_lines_cut_out_repeated_or_exchanged_are_named(run: Path) -> None:
    file = run / "audit" / "rank-00001.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    for changed, told in (
        (lines[:2] + lines[3:], ":3: expected step 1 (attempt 0), found step 2 (attempt 0)"),
        (lines[:3] + lines[2:], ":4: expected step 2 (attempt 0), found step 1 (attempt 0)"),
        (lines[1:], ":1: step 0 (attempt 0) before any header"),
        ([*lines, "{}\n"], ":6: this line is not an audit record: {}; it stands where step 4 (attempt 0) belongs"),
        ([*lines[:2], lines[2].partition(',"link"')[0] + "}\n"], ":3: step 1 (attempt 0): it has no link"),
    ):
        file.write_text("".join(changed))
        assert f"{file}{told}" in refusal(run)
    file.write_text((run / "audit" / "rank-00000.jsonl").read_text())
    assert f"{file}:1: header of attempt 0 at step 0: its link" in refusal(run)


def test_files_that_do_not_belong_are_named(run: Path) -> None:
    folder = run / "audit"
    AuditLog(run, rank=1, attempt=7, header=Header(start=0, parent=None, world=2)).close()
    assert read_audit(run).files[1].attempts[7], "a rank may have been ended right after its header"
    log = AuditLog(run, rank=2, attempt=9, header=Header(start=0, parent=None, world=3))
    log.append(0, rows=1, digest=1)
    log.close()
    assert "rank-00002.jsonl:1: header of attempt 9 at step 0: audit/rank-00000.jsonl knows no such" in refusal(run)
    AuditLog(run, rank=3, attempt=1, header=Header(start=2, parent=0, world=4)).close()
    assert "rank-00003.jsonl:1: header of attempt 1 at step 2: " in refusal(run)
    for name in ("rank-00002.jsonl", "rank-00003.jsonl"):
        (folder / name).unlink()
    os.mkfifo(folder / "rank-00002.jsonl")
    assert "rank-00002.jsonl: not a regular file" in refusal(run)
    (folder / "rank-00002.jsonl").rename(folder / "rank-2.jsonl")
    assert "rank-2.jsonl: no file of the audit" in refusal(run)
    assert next_attempt(run) == 8
