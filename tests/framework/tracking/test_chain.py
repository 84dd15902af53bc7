"""The chain of an audit file, against the same sums written out here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from framework.errors import RunError
from framework.tracking import AuditLog, Head, heads_in, heads_of_state, heads_to_plain, read_audit
from framework.tracking.audit import Header
from framework.tracking.lines import Chain

FRESH = Header(start=0, parent=None, world=1)


def log(run: Path, attempt: int = 0, header: Header = FRESH, **others: object) -> AuditLog:
    return AuditLog(run, rank=0, attempt=attempt, header=header, **others)  # type: ignore[arg-type]


def test_a_head_is_sha256_over_the_head_before_and_the_line(tmp_path: Path) -> None:
    audit = log(tmp_path)
    audit.append(0, rows=4, digest=255)
    audit.close()
    head = hashlib.sha256(b"wellstream audit of rank 0").digest()
    written = []
    for body in (
        '{"attempt":0,"start":0,"parent":null,"world":1',
        '{"attempt":0,"step":0,"rows":4,"digest":"00000000000000ff"',
    ):
        head = hashlib.sha256(head + body.encode()).digest()
        written.append(f'{body},"link":"{head.hex()[:16]}"}}\n')
    assert (tmp_path / "audit" / "rank-00000.jsonl").read_text() == "".join(written)
    assert audit.head == Head(lines=2, digest=head.hex())
    assert heads_in(tmp_path) == {0: audit.head}
    assert read_audit(tmp_path, {0: frozenset({2, 9})}).files[0].marks == {2: head.hex()}


def test_a_file_that_is_opened_again_goes_on_with_its_chain(tmp_path: Path) -> None:
    first = log(tmp_path)
    first.append(0, rows=4, digest=1)
    first.close()
    file = tmp_path / "audit" / "rank-00000.jsonl"
    file.write_text(file.read_text() + '{"attempt":0,"step":1,"ro')
    second = log(tmp_path, 1, Header(start=1, parent=0, world=1), before={0: first.head})
    second.append(1, rows=4, digest=2)
    second.close()
    whole, chain = file.read_bytes().splitlines(), Chain(0)
    assert [chain.add(line) for line in whole] == [True] * 4
    assert chain.head == second.head
    assert read_audit(tmp_path).headers[1].start == 1


def test_lines_of_runs_before_there_were_chains_are_part_of_it() -> None:
    old, new = Chain(0), Chain(0)
    assert old.add(b'{"attempt":0,"start":0,"parent":null,"world":1}') is None
    line = new.linked(b'{"attempt":0,"start":0,"parent":null,"world":1}')
    assert old.head != new.head, "a link that is cut away is noticed"
    assert Chain(0).add(line) is True
    assert Chain(1).add(line) is False, "the files of two ranks cannot be exchanged"


def test_an_audit_altered_before_a_resume_is_told_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = log(tmp_path)
    first.append(0, rows=4, digest=1)
    first.close()
    log(tmp_path, 1, before={0: first.head}).close()
    assert not caplog.text
    file = tmp_path / "audit" / "rank-00000.jsonl"
    file.write_text(file.read_text().replace('"rows":4', '"rows":3'))
    log(tmp_path, 2, before={0: first.head}).close()
    assert "rank-00000.jsonl: not as the checkpoint that this run resumes from names it" in caplog.text


def test_ranks_that_only_earlier_attempts_had_keep_their_heads(tmp_path: Path) -> None:
    other = Head(lines=7, digest="a" * 64)
    audit = log(tmp_path, before={1: other})
    heads = audit.heads([audit.head])
    assert heads == {0: audit.head, 1: other}
    state = {"audit": json.loads(json.dumps(heads_to_plain(heads)))}
    assert heads_of_state(state, "x") == heads
    assert heads_of_state({}, "x") is None


@pytest.mark.parametrize(
    "plain",
    [
        [],
        {"0": 3},
        {"-1": {"lines": 1, "digest": "a" * 64}},
        {"0": {"lines": 1e300, "digest": "a" * 64}},
        {"0": {"lines": 1, "digest": "a"}},
        {"x": {}},
    ],
)
def test_heads_that_are_none_are_a_sentence(plain: object) -> None:
    with pytest.raises(RunError, match=r"step-3: the heads of the audit in its state\.json cannot be read"):
        heads_of_state({"audit": plain}, "step-3")
