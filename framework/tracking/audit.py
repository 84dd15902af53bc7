"""The audit: what every rank really consumed in every step, so that "exactly once" can be proved after any restart.

Each rank appends to ``audit/rank-00000.jsonl``: one header an attempt (a start of the run), then one record a step with
a digest of the rows it trained on. Records of a step are on the disk before a checkpoint of that step is published.
A step that a dead attempt did after its last checkpoint was done again by the next; which attempt's record counts
follows from the headers alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framework.errors import RunError
from framework.tracking.lines import Lines, read_lines

AUDIT_NAME = "audit"
_WORD = 1 << 64


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


@dataclass(frozen=True, kw_only=True)
class AuditTrail:
    """All audit files of a run.

    Attributes:
        headers: attempt -> how it began, as rank 0 wrote it.
        records: (attempt, step) -> for each record found, (rank, rows, digest).
    """

    headers: Mapping[int, Header]
    records: Mapping[tuple[int, int], list[tuple[int, int, int]]]

    def lineage(self, attempt: int, steps: int) -> tuple[Stretch, ...]:
        """Return who did which steps of the first ``steps``, in order, ending with ``attempt``.

        Raises:
            RunError: an attempt on the way has no header.
        """
        stretches: list[Stretch] = []
        current: int | None = attempt
        stop = steps
        while current is not None:
            header = self.headers.get(current)
            if header is None:
                raise RunError(f"the audit has no header of attempt {current}; audit/rank-00000.jsonl was altered")
            stretches.append(Stretch(attempt=current, world=header.world, start=header.start, stop=stop))
            if header.parent is not None and header.parent >= current:
                raise RunError(f"the audit says that attempt {current} resumed from {header.parent}; it was altered")
            stop, current = header.start, header.parent
        return tuple(reversed(stretches))


class AuditLog:
    """One rank's audit file, open for appending."""

    def __init__(self, run_dir: Path | str, *, rank: int, attempt: int, header: Header) -> None:
        self._lines = Lines(_file(Path(run_dir), rank))
        self._attempt = attempt
        self._lines.append(
            {"attempt": attempt, "start": header.start, "parent": header.parent, "world": header.world},
        )
        self._lines.sync()

    def append(self, step: int, rows: int, digest: int) -> None:
        """Record a step.

        Args:
            step: 0-based.
            rows: rows that counted (weight above 0).
            digest: commutative 64-bit digest of those rows.
        """
        record = {"attempt": self._attempt, "step": step, "rows": rows, "digest": f"{digest % _WORD:016x}"}
        self._lines.append(record)

    def sync(self) -> None:
        """Make all records survive a power cut."""
        self._lines.sync()

    def close(self) -> None:
        """Sync and close."""
        self._lines.close()


def next_attempt(run_dir: Path | str) -> int:
    """Return the number of the attempt about to start: one above any that some rank wrote down."""
    folder = Path(run_dir) / AUDIT_NAME
    files = sorted(folder.glob("rank-*.jsonl")) if folder.is_dir() else []
    return 1 + max((int(record["attempt"]) for file in files for record in read_lines(file)), default=-1)


def read_audit(run_dir: Path | str) -> AuditTrail:
    """Read the audit files of all ranks.

    Raises:
        RunError: the run has no audit, or a record that is none.
    """
    folder = Path(run_dir) / AUDIT_NAME
    files = sorted(folder.glob("rank-*.jsonl")) if folder.is_dir() else []
    if not files:
        raise RunError(f"{folder}: no audit files; is {run_dir} a run folder written by: wellstream train CONFIG?")
    headers: dict[int, Header] = {}
    records: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for file in files:
        rank = int(file.stem.removeprefix("rank-"))
        for line in read_lines(file):
            try:
                if "step" in line:
                    found = (rank, int(line["rows"]), int(line["digest"], 16))
                    records[int(line["attempt"]), int(line["step"])].append(found)
                elif rank == 0:
                    parent = None if line["parent"] is None else int(line["parent"])
                    header = Header(start=int(line["start"]), parent=parent, world=int(line["world"]))
                    headers[int(line["attempt"])] = header
            except (KeyError, ValueError, TypeError) as error:
                raise RunError(f"{file}: a line is no audit record ({error}): {line}") from None
    return AuditTrail(headers=headers, records=dict(records))


def _file(run_dir: Path, rank: int) -> Path:
    return run_dir / AUDIT_NAME / f"rank-{rank:05d}.jsonl"
