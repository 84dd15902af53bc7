"""The audit trail: who consumed what, and which attempt's record of a step counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import RunError
from framework.tracking import AuditLog, Stretch, next_attempt, read_audit
from framework.tracking.audit import Header


def write(run: Path, rank: int, attempt: int, header: Header, steps: range) -> None:
    log = AuditLog(run, rank=rank, attempt=attempt, header=header)
    for step in steps:
        log.append(step, rows=4, digest=(1 << 64) + step)
    log.close()


def test_attempts_and_records_are_read_back(tmp_path: Path) -> None:
    assert next_attempt(tmp_path) == 0
    fresh = Header(start=0, parent=None, world=2)
    write(tmp_path, 0, 0, fresh, range(3))
    write(tmp_path, 1, 0, fresh, range(3))
    assert next_attempt(tmp_path) == 1
    trail = read_audit(tmp_path)
    assert trail.headers == {0: fresh}
    assert trail.records[0, 2] == [(0, 4, 2), (1, 4, 2)]


def test_an_attempt_only_another_rank_wrote_down_is_not_reused(tmp_path: Path) -> None:
    write(tmp_path, 1, 4, Header(start=0, parent=None, world=2), range(0))
    assert next_attempt(tmp_path) == 5


def test_lineage_follows_parents_not_numbers(tmp_path: Path) -> None:
    write(tmp_path, 0, 0, Header(start=0, parent=None, world=2), range(9))
    write(tmp_path, 0, 1, Header(start=6, parent=0, world=3), range(6, 8))
    write(tmp_path, 0, 2, Header(start=4, parent=0, world=1), range(4, 10))
    assert read_audit(tmp_path).lineage(2, 10) == (
        Stretch(attempt=0, world=2, start=0, stop=4),
        Stretch(attempt=2, world=1, start=4, stop=10),
    )


def test_a_missing_header_or_a_circle_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, Header(start=3, parent=0, world=1), range(3, 5))
    with pytest.raises(RunError, match="no header of attempt 0"):
        read_audit(tmp_path).lineage(1, 5)
    write(tmp_path / "circle", 0, 0, Header(start=3, parent=1, world=1), range(0))
    write(tmp_path / "circle", 0, 1, Header(start=3, parent=0, world=1), range(3, 5))
    with pytest.raises(RunError, match=r"rank-00000.jsonl:1: .* attempt 0 resumed from 1"):
        read_audit(tmp_path / "circle").lineage(1, 5)


def test_no_audit_and_bad_records_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no audit files"):
        read_audit(tmp_path)
    write(tmp_path, 0, 0, Header(start=0, parent=None, world=1), range(1))
    with (tmp_path / "audit" / "rank-00000.jsonl").open("a") as stream:
        stream.write('{"attempt":0,"step":1,"rows":4,"digest":"not hex"}\n')
    with pytest.raises(RunError, match="not an audit record"):
        read_audit(tmp_path)
