"""Reading the audit back, line by line and strictly: it may have been edited since.

A file says nothing that is taken on trust: numbers are bounded, lists grow with lines that are there and never to a
size that a line declares, and the first line that cannot follow the one before it is named with its step.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from framework.errors import RunError
from framework.tracking.audit import AUDIT_NAME, LONGEST_LINE, Header, audit_file
from framework.tracking.lines import Chain, Head, raw_lines

_NAME = re.compile(r"rank-(\d{5})\.jsonl")
_LINK = rb'(?:,"link":"[0-9a-f]{16}")?\}'
_NUMBER = rb"(\d{1,15})"
_HEADER = re.compile(
    rb'\{"attempt":%b,"start":%b,"parent":(null|\d{1,15}),"world":%b' % (_NUMBER, _NUMBER, _NUMBER) + _LINK
)
_RECORD = re.compile(
    rb'\{"attempt":%b,"step":%b,"rows":%b,"digest":"([0-9a-f]{16})"' % (_NUMBER, _NUMBER, _NUMBER) + _LINK
)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Steps ``start`` to ``stop`` (exclusive) of the final weights' history, done by one attempt.

    Attributes:
        attempt: its number.
        world: ranks it ran on.
        start: first step.
        stop: one past the last step that counts.
    """

    attempt: int
    world: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class AttemptRecords:
    """What one rank wrote in one attempt; record ``i`` is of step ``header.start + i`` and stands ``i + 1`` lines on.

    Attributes:
        header: how the attempt began.
        line: line of the header, counted from 1.
        is_linked: whether its lines carry links.
        rows: rows of each step.
        digests: their digests.
    """

    header: Header
    line: int
    is_linked: bool
    rows: array[int] = field(default_factory=lambda: array("q"))
    digests: array[int] = field(default_factory=lambda: array("Q"))


@dataclass(kw_only=True)
class RankFile:
    """One rank's audit file.

    Attributes:
        file: where.
        rank: whose.
        attempts: number of an attempt -> what the rank wrote, in order.
        marks: head after each asked number of lines, where there are so many.
        head: head after all lines.
        fault: sentence about the first line that cannot be; None for a sound file.
    """

    file: Path
    rank: int
    attempts: dict[int, AttemptRecords] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    head: Head = field(default_factory=lambda: Head(lines=0, digest=""))
    fault: str | None = None

    @property
    def last(self) -> tuple[int, AttemptRecords] | None:
        """The attempt that the next record belongs to."""
        return next(reversed(self.attempts.items()), None)

    def place(self, attempt: int, step: int) -> str:
        """Return ``file:line: step ... (attempt ...)`` of a record, for messages."""
        records = self.attempts[attempt]
        line = records.line + 1 + step - records.header.start
        return f"{self.file}:{line}: step {step} (attempt {attempt})"


@dataclass(frozen=True, kw_only=True)
class AuditTrail:
    """All audit files of a run.

    Attributes:
        files: rank -> its file.
    """

    files: Mapping[int, RankFile]

    @property
    def headers(self) -> dict[int, Header]:
        """Attempt -> how it began, as rank 0 wrote it."""
        return {number: each.header for number, each in self.files[0].attempts.items()} if 0 in self.files else {}

    @property
    def records(self) -> dict[tuple[int, int], list[tuple[int, int, int]]]:
        """(attempt, step) -> for each rank's record, (rank, rows, digest)."""
        found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for rank in sorted(self.files):
            for number, each in self.files[rank].attempts.items():
                for inside, (rows, digest) in enumerate(zip(each.rows, each.digests, strict=True)):
                    found.setdefault((number, each.header.start + inside), []).append((rank, rows, digest))
        return found

    def lineage(self, attempt: int, steps: int) -> tuple[Stretch, ...]:
        """Return who did which steps of the first ``steps``, in order, ending with ``attempt``.

        Raises:
            RunError: an attempt on the way has no header, or headers contradict each other.
        """
        stretches: list[Stretch] = []
        current: int | None = attempt
        stop, headers = steps, self.headers
        file = self.files[0].file if 0 in self.files else "rank-00000.jsonl"
        while current is not None:
            header = headers.get(current)
            if header is None:
                raise RunError(f"{file}: the audit has no header of attempt {current}, so it was altered or cut")
            where = f"{file}:{self.files[0].attempts[current].line}: the header says that attempt {current} "
            if header.parent is not None and header.parent >= current:
                raise RunError(f"{where}resumed from {header.parent}, which came later; it was altered")
            if header.start > stop:
                raise RunError(
                    f"{where}began at step {header.start}, but the last step that counts is {stop}; the file was "
                    "altered"
                )
            stretches.append(Stretch(attempt=current, world=header.world, start=header.start, stop=stop))
            stop, current = header.start, header.parent
        return tuple(reversed(stretches))


def read_audit(run_dir: Path | str, marks: Mapping[int, frozenset[int]] | None = None) -> AuditTrail:
    """Read the audit files of all ranks.

    Args:
        run_dir: the run folder.
        marks: rank -> numbers of lines after which the head of its chain is wanted.

    Raises:
        RunError: the run has no audit, or one with a line that cannot be where it is; names file, line and step.
    """
    folder = Path(run_dir) / AUDIT_NAME
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    if not present:
        raise RunError(f"{folder}: no audit files; is {run_dir} a run folder written by: wellstream train CONFIG?")
    files = {}
    faults = [fault for fault in map(_stranger, present) if fault]
    for file in present:
        name = _NAME.fullmatch(file.name)
        if name and file.is_file():
            rank = int(name[1])
            files[rank] = _read(file, rank, (marks or {}).get(rank, frozenset()))
    faults += [file.fault for file in files.values() if file.fault] or list(_contradictions(files))
    if faults:
        raise RunError("the audit was altered or is damaged, so it proves nothing:\n" + "\n".join(faults[:10]))
    return AuditTrail(files=files)


def _stranger(file: Path) -> str | None:
    if not _NAME.fullmatch(file.name):
        return f"{file}: no file of the audit (rank-00000.jsonl ...); somebody put it there, remove it"
    return None if file.is_file() else f"{file}: not a regular file"


def _read(file: Path, rank: int, marks: frozenset[int]) -> RankFile:
    """Read one file up to its first fault; its chain to the end."""
    found, chain, has_links = RankFile(file=file, rank=rank), Chain(rank), False
    for number, line in enumerate(raw_lines(file, LONGEST_LINE), start=1):
        link = chain.add(line)
        if number in marks:
            found.marks[number] = chain.head.digest
        if found.fault is None:
            found.fault = _taken(found, line, number, link is not None)
            has_links = has_links or link is not None
            if found.fault is None and (link is False or (link is None and has_links)):
                what = "its link is not that of the lines up to here" if link is False else "it has no link"
                found.fault = f"{_told(found, number)}: {what}: this line was altered, or one before it"
    found.head = chain.head
    return found


def _taken(found: RankFile, line: bytes, number: int, is_linked: bool) -> str | None:
    """Add a line to what was found, or say why it cannot be there."""
    where = f"{found.file}:{number}"
    record = _RECORD.fullmatch(line)
    if record:
        return _record(found, where, [int(record[1]), int(record[2]), int(record[3]), int(record[4], 16)])
    header = _HEADER.fullmatch(line)
    if not header:
        return f"{where}: this line is not an audit record: {line[:100].decode('utf-8', 'replace')}{_after(found)}"
    attempt, start, world = int(header[1]), int(header[2]), int(header[4])
    if found.last and attempt <= found.last[0]:
        return f"{where}: a header of attempt {attempt} after one of attempt {found.last[0]}{_after(found)}"
    if found.rank >= world:
        return f"{where}: attempt {attempt} ran on {world} rank(s), so rank {found.rank} has no part in it"
    parent = None if header[3] == b"null" else int(header[3])
    known = Header(start=start, parent=parent, world=world)
    found.attempts[attempt] = AttemptRecords(header=known, line=number, is_linked=is_linked)
    return None


def _record(found: RankFile, where: str, numbers: list[int]) -> str | None:
    attempt, step, rows, digest = numbers
    if found.last is None:
        return f"{where}: step {step} (attempt {attempt}) before any header of an attempt; the header was removed"
    current, records = found.last
    expected = records.header.start + len(records.rows)
    if (attempt, step) != (current, expected):
        return (
            f"{where}: expected step {expected} (attempt {current}), found step {step} (attempt {attempt}): a line is "
            "missing, repeated or moved"
        )
    records.rows.append(rows)
    records.digests.append(digest)
    return None


def _told(found: RankFile, number: int) -> str:
    """The place of the line just taken, with its step."""
    if found.last is None:
        return f"{found.file}:{number}"
    attempt, records = found.last
    if records.line == number:
        return f"{found.file}:{number}: header of attempt {attempt} at step {records.header.start}"
    return found.place(attempt, records.header.start + len(records.rows) - 1)


def _after(found: RankFile) -> str:
    if found.last is None:
        return ""
    attempt, records = found.last
    return f"; it stands where step {records.header.start + len(records.rows)} (attempt {attempt}) belongs"


def _contradictions(files: Mapping[int, RankFile]) -> Iterator[str]:
    """Say where the file of another rank tells of an attempt otherwise than that of rank 0."""
    first = files.get(0)
    for rank, file in sorted(files.items()):
        for number, each in file.attempts.items():
            where = f"{file.file}:{each.line}: header of attempt {number} at step {each.header.start}"
            known = first.attempts.get(number) if first else None
            if known is not None and known.header != each.header and first is not None:
                yield f"{where}: {first.file}:{known.line} says otherwise"
            # A rank may be ended right after its header, before rank 0 wrote its own, but not make a step alone.
            if known is None and len(each.rows):
                yield f"{where}: {audit_file('', 0)} knows no such attempt, so rank {rank} cannot have made steps in it"
