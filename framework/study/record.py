"""Records of steps: what was done with which settings, so that nothing is done twice and no change is overlooked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.config import StrictModel
from framework.durable import write_json
from framework.errors import RunError
from framework.files.failures import reading
from framework.files.json_file import read_mapping
from framework.study.step import Step, digests_of

RECORDS = "steps"
_SHOWN = 3


class Record(StrictModel):
    """A step that was begun or is finished.

    Attributes:
        step: its name.
        command: as it was run.
        digest: digest of its settings and of the steps it builds on.
        settings: settings of the step alone.
        outputs: what it writes, from the folder of the study.
        finished: False while it runs, and where it was stopped.
        seconds: it took, when it is finished.
        mark: drawn when it began anew, so that steps know which result they read.
        made_from: step it builds on -> the mark of that one.
    """

    step: str
    command: str
    digest: str
    settings: dict[str, Any]
    outputs: tuple[str, ...]
    finished: bool
    seconds: float | None = None
    mark: str
    made_from: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a step stands.

    Attributes:
        step: the step.
        digest: it has now.
        record: what was recorded of it; None: nothing.
        why: why it is to be done; None: it is done.
        anew: whether what it left is of no use and is removed first.
    """

    step: Step
    digest: str
    record: Record | None
    why: str | None
    anew: bool

    @property
    def due(self) -> bool:
        """Whether it is to be done."""
        return self.why is not None


def states_of(steps: Sequence[Step], out: Path) -> list[State]:
    """Return where each step stands, in order.

    Raises:
        RunError: a record that is damaged.
    """
    digests = digests_of(steps)
    states: dict[str, State] = {}
    for step in steps:
        record = read_record(step, out)
        why, anew = _why(step, digests[step.name], record, out, states)
        states[step.name] = State(step=step, digest=digests[step.name], record=record, why=why, anew=anew)
    return list(states.values())


def read_record(step: Step, out: Path) -> Record | None:
    """Read the record of a step; None where there is none. Raises RunError when it is damaged."""
    file = _file(step, out)
    if not file.is_file():
        return None
    then = "remove it, and the step is done again"
    plain = read_mapping(file, error=RunError, what="the record of a step", then=then)
    with reading(file, RunError, "the record of a step", then):
        return Record.from_plain(plain)


def write_record(state: State, out: Path, marks: Mapping[str, str], seconds: float | None = None) -> Record:
    """Record that a step begins, or with ``seconds`` that it is finished.

    Args:
        state: state of the step.
        out: folder of the study.
        marks: step -> mark of its result, of the steps it builds on and of itself.
        seconds: it took.
    """
    file = _file(state.step, out)
    file.parent.mkdir(parents=True, exist_ok=True)
    record = Record(
        step=state.step.name,
        command=state.step.command,
        digest=state.digest,
        settings=dict(state.step.settings),
        outputs=tuple(str(path.relative_to(out)) for path in state.step.outputs),
        finished=seconds is not None,
        seconds=None if seconds is None else round(seconds, 3),
        mark=marks[state.step.name],
        made_from={name: marks[name] for name in state.step.needs},
    )
    write_json(file, record.plain())
    return record


def clear(state: State, out: Path) -> None:
    """Remove what a step left, before it is done anew."""
    recorded = () if state.record is None else state.record.outputs
    inside = out.resolve()
    for path in dict.fromkeys([*state.step.outputs, *(out / name for name in recorded)]):
        place = path.parent.resolve() / path.name
        if place == inside or not place.is_relative_to(inside):
            raise RunError(f"{_file(state.step, out)}: names {path} outside the study's folder; remove this record")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _file(step: Step, out: Path) -> Path:
    return out / RECORDS / f"{step.name}.json"


def _why(
    step: Step, digest: str, record: Record | None, out: Path, before: Mapping[str, State]
) -> tuple[str | None, bool]:
    """Return why a step is to be done (None: it is done), and whether what it left is of no use."""
    if record is None:
        return "not done yet", False
    changed = _changed(record.settings, step.settings)
    if changed:
        return f"again: {changed}", True
    due = [name for name in step.needs if before[name].due]
    if due:
        return f"again: after {', '.join(due)}", True
    if record.digest != digest or record.made_from != _marks(step, before):
        return "again: a step it builds on was done again", True
    if not record.finished:
        return "goes on where it stopped", False
    missing = [str(path) for path in step.outputs if not path.exists()]
    return (f"again: {', '.join(missing)} is missing", True) if missing else (None, False)


def _marks(step: Step, before: Mapping[str, State]) -> dict[str, str]:
    """Return need -> mark of its finished record."""
    records = {name: before[name].record for name in step.needs}
    return {name: record.mark for name, record in records.items() if record is not None}


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say which keys differ, with both values."""
    keys = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
    told = [f"{key} was {_text(before, key)} and is {_text(now, key)}" for key in keys[:_SHOWN]]
    more = len(keys) - _SHOWN
    return ", ".join(told) + (f" and {more} more keys" if more > 0 else "")


def _text(settings: Mapping[str, Any], key: str) -> str:
    return str(settings[key]) if key in settings else "not set"
