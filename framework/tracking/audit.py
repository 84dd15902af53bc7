"""The audit: what every rank really consumed in every step, so that "exactly once" can be proved after any restart.

Each rank appends to ``audit/rank-00000.jsonl``: one header per attempt (a start of the run), then one record per step
with a digest of the rows it trained on. Records of a step are on the disk before a checkpoint of that step is
published, and the checkpoint holds the head of each rank's chain (``framework.tracking.lines``). A step that a dead
attempt did after its last checkpoint was done again by the next; which record counts follows from the headers.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.tracking.lines import Chain, Head, Lines, raw_lines

log = logging.getLogger(__name__)

AUDIT_NAME = "audit"
LONGEST_LINE = 1024
"""Bytes; a line has at most 200."""
_WORD = 1 << 64
_ATTEMPT = re.compile(rb'\{"attempt":(\d{1,9}),')


@dataclass(frozen=True, kw_only=True)
class Header:
    """How an attempt began.

    Attributes:
        start: completed steps of the checkpoint it resumed from, 0 for none.
        parent: attempt that wrote that checkpoint; None for a fresh start or a checkpoint of another run.
        world: ranks.
    """

    start: int
    parent: int | None
    world: int


class AuditLog:
    """One rank's audit file, open for appending.

    Args:
        run_dir: the run folder.
        rank: rank of this process.
        attempt: number of this start of the run.
        header: how it began.
        before: heads of all ranks in the checkpoint it resumed from, by rank.
    """

    def __init__(
        self, run_dir: Path | str, *, rank: int, attempt: int, header: Header, before: Mapping[int, Head] | None = None
    ) -> None:
        file = audit_file(run_dir, rank)
        self._before = dict(before or {})
        self._lines = Lines(file)
        self._chain = _continued(file, rank, self._before.get(rank))
        self._attempt = attempt
        self._append({"attempt": attempt, "start": header.start, "parent": header.parent, "world": header.world})
        self._lines.sync()

    @property
    def head(self) -> Head:
        """The head of this rank's file as it stands."""
        return self._chain.head

    def heads(self, current: Sequence[Head]) -> dict[int, Head]:
        """Return the heads for a checkpoint, by rank.

        Args:
            current: ``head`` of every rank of this attempt, in rank order. Ranks that only earlier attempts had keep
                the heads they had in the checkpoint this attempt resumed from.
        """
        return {**self._before, **dict(enumerate(current))}

    def append(self, step: int, rows: int, digest: int) -> None:
        """Record a step.

        Args:
            step: 0-based.
            rows: rows that counted (weight above 0).
            digest: commutative 64-bit digest of those rows.
        """
        self._lines.append_text(self._linked(step, rows, digest))

    def append_all(self, first: int, rows: Sequence[int], digests: Sequence[int]) -> None:
        """Record steps that follow each other, of which ``first`` is the first, in one write; else as ``append``."""
        lines = [self._linked(first + at, *record) for at, record in enumerate(zip(rows, digests, strict=True))]
        if lines:
            self._lines.append_text("\n".join(lines))

    def sync(self) -> None:
        """Make all records survive a power cut."""
        self._lines.sync()

    def close(self) -> None:
        """Sync and close."""
        self._lines.close()

    def _linked(self, step: int, rows: int, digest: int) -> str:
        record = f'{{"attempt":{self._attempt},"step":{step},"rows":{rows},"digest":"{digest % _WORD:016x}"}}'
        return self._chain.linked(record.encode()).decode()

    def _append(self, record: Mapping[str, object]) -> None:
        self._lines.append_text(self._chain.linked(json.dumps(record, separators=(",", ":")).encode()).decode())


def audit_file(run_dir: Path | str, rank: int) -> Path:
    """Return the audit file of a rank."""
    return Path(run_dir) / AUDIT_NAME / f"rank-{rank:05d}.jsonl"


def next_attempt(run_dir: Path | str) -> int:
    """Return the number of the attempt about to start: one above any that some rank wrote down."""
    found = (_ATTEMPT.match(line) for file in _files(run_dir) for line in raw_lines(file, LONGEST_LINE))
    return 1 + max((int(match[1]) for match in found if match), default=-1)


def heads_in(run_dir: Path | str) -> dict[int, Head]:
    """Return the head of every rank's file as it lies, for a run whose checkpoints hold none yet."""
    return {
        int(file.stem.removeprefix("rank-")): _continued(file, int(file.stem.removeprefix("rank-")), None).head
        for file in _files(run_dir)
    }


def _files(run_dir: Path | str) -> list[Path]:
    folder = Path(run_dir) / AUDIT_NAME
    found = folder.glob("rank-[0-9][0-9][0-9][0-9][0-9].jsonl") if folder.is_dir() else ()
    return sorted(file for file in found if file.is_file())


def _continued(file: Path, rank: int, known: Head | None) -> Chain:
    """Return the chain after all lines of a file; say so when it does not lead through the head of the checkpoint."""
    chain = Chain(rank)
    passed = known is None
    for line in raw_lines(file, LONGEST_LINE):
        chain.add(line)
        passed = passed or chain.head == known
    if not passed:
        log.warning(
            "%s: not as the checkpoint that this run resumes from names it, so it was %s; training goes on, but "
            "'wellstream verify' will refuse this run",
            file,
            "altered or cut" if chain.head.lines else "removed or emptied",
        )
    return chain
