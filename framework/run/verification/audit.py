"""The two checks of an audit: its lines are those the checkpoints name, and its records are those the plan asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from framework.data.plan import Plan, digest_rows
from framework.errors import RunError
from framework.tracking import AuditTrail, Head, RankFile, Stretch

_SHOWN = 10
Named = Mapping[int, Mapping[int, tuple[str, str]]]
"""Rank -> number of lines -> (digest, checkpoint): every head that some checkpoint holds."""


@dataclass(kw_only=True)
class Faults:
    """What was found to differ; the first sentences and the number of steps are kept."""

    sentences: list[str] = field(default_factory=list)
    steps: int = 0

    def add(self, sentence: str) -> None:
        """Keep a sentence, unless there are enough."""
        if len(self.sentences) < _SHOWN:
            self.sentences.append(sentence)

    def raise_any(self, root: Path) -> None:
        """Raise what was found.

        Raises:
            RunError: something was.
        """
        if self.sentences:
            steps = f"; {self.steps} step(s) differ from the plan" if self.steps else ""
            raise RunError(f"{root}: the audit does not prove what was consumed{steps}:\n" + "\n".join(self.sentences))


def check_heads(faults: Faults, trail: AuditTrail, heads: Mapping[int, Head], name: str, named: Named) -> None:
    """Check that each rank's file still begins with the lines it had when checkpoint ``name`` was written."""
    for rank, head in sorted(heads.items()):
        file = trail.files.get(rank)
        if file is None:
            faults.add(f"the audit file of rank {rank} is missing; it had {head.lines} lines when {name} was written")
        elif file.head.lines < head.lines:
            faults.add(
                f"{file.file}:{file.head.lines}: the file ends here, after {_last_step(file)}; it had {head.lines} "
                f"lines when {name} was written"
            )
        elif file.marks[head.lines] != head.digest:
            faults.add(_altered(file, head, name, named.get(rank, {})))


def _last_step(file: RankFile) -> str:
    if file.last is None:
        return "no header at all"
    attempt, records = file.last
    return f"step {records.header.start + len(records.rows) - 1} (attempt {attempt})"


def _altered(file: RankFile, head: Head, name: str, marks: Mapping[int, tuple[str, str]]) -> str:
    """Say between which lines and steps a file was altered, as narrowly as the kept checkpoints can tell."""
    sound = max((lines for lines, (digest, _) in marks.items() if file.marks.get(lines) == digest), default=0)
    wrong = min(
        (lines for lines, (digest, _) in marks.items() if sound < lines <= head.lines and file.marks[lines] != digest),
        default=head.lines,
    )
    by = marks[wrong][1] if wrong in marks else name
    first, last = _step_at(file, sound + 1), _step_at(file, wrong)
    return (
        f"{file.file}:{sound + 1}: a line from here to line {wrong} ({first} to {last}) is not the one that was there "
        f"when {by} was written; it was edited, and its links with it"
    )


def _step_at(file: RankFile, line: int) -> str:
    """The step that a line records; that of the next record for a header."""
    for attempt, records in reversed(file.attempts.items()):
        if line >= records.line:
            return f"step {records.header.start + max(0, line - records.line - 1)} (attempt {attempt})"
    return "no step"


def check_stretch(
    faults: Faults, trail: AuditTrail, stretch: Stretch, plan: Plan, heads: Mapping[int, Head] | None
) -> None:
    """Check that each rank's records of a stretch are those of its part of the planned rows, and lie below its head.

    Nothing is as large as a header says: ranks and steps are counted where they are.
    """
    if stretch.stop == stretch.start:
        return
    files = [trail.files[rank] for rank in sorted(trail.files) if stretch.attempt in trail.files[rank].attempts]
    missing = next((at for at, file in enumerate(files) if file.rank != at), len(files))
    first = f"step {stretch.start} (attempt {stretch.attempt})"
    if missing < stretch.world:
        faults.add(f"{first}: no record of rank {missing}; the header says {stretch.world} rank(s)")
        return
    stop = stretch.stop
    for file in files:
        records = file.attempts[stretch.attempt]
        end = records.header.start + len(records.rows)
        line = records.line + min(stop, end) - records.header.start
        if end < stretch.stop:
            faults.add(f"{file.file}:{line}: step {end} (attempt {stretch.attempt}): no record of rank {file.rank}")
            stop = min(stop, end)
        if heads is not None and line > (heads[file.rank].lines if file.rank in heads else 0):
            faults.add(
                f"{file.place(stretch.attempt, min(stop, end) - 1)}: the checkpoint does not name this line of rank "
                f"{file.rank}, so it was added later"
            )
    for step in range(stretch.start, stop):
        _check_step(faults, files, stretch, step, plan)


def _check_step(faults: Faults, files: list[RankFile], stretch: Stretch, step: int, plan: Plan) -> None:
    planned, is_sound = plan.at(step), True
    for file in files:
        rows = planned.for_rank(file.rank, stretch.world)
        records = file.attempts[stretch.attempt]
        at = step - records.header.start
        count, digest = records.rows[at], records.digests[at]
        if (count, digest) != (int((rows.weights > 0).sum()), digest_rows(rows)):
            is_sound = False
            faults.add(
                f"{file.place(stretch.attempt, step)}: {count} rows with digest {digest:016x}, planned for rank "
                f"{file.rank} were others"
            )
    faults.steps += not is_sound
