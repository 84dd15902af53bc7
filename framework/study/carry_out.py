"""Doing the steps of a study: each is printed as the command it is, run in a process of its own, and recorded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from framework.errors import ConfigError, RunError
from framework.files.outputs import check_output_folder
from framework.result import Result
from framework.study.config import StudyConfig
from framework.study.plan import plan_of
from framework.study.process import StepFailed, called
from framework.study.record import State, clear, states_of, write_record
from framework.study.step import named
from framework.terminal import Terminal


@dataclass(frozen=True, kw_only=True, repr=False)
class StudySummary(Result):
    """What was done of a study.

    Attributes:
        out: its folder.
        done: steps that were done now, with their seconds.
        kept: steps that were done before.
        left: steps that are still to be done.
        page: the report; None before it is written.
    """

    out: Path
    done: tuple[str, ...]
    kept: tuple[str, ...]
    left: tuple[str, ...]
    page: Path | None


def carry_out(
    study: StudyConfig,
    *,
    only: str | None = None,
    until: str | None = None,
    dry_run: bool = False,
    console: Terminal | None = None,
    run: Callable[[Sequence[str]], int] = called,
) -> StudySummary:
    """Do the steps of a study that are to be done; the same call again goes on where this one ended.

    Args:
        study: the config.
        only: a step, or a stage such as ``heads``: nothing else is done.
        until: a step or a stage: it and all that it needs is done, nothing else.
        dry_run: print which steps there are and where they stand; do nothing.
        console: where commands are printed.
        run: takes the words of a command and returns its exit code.

    Raises:
        ConfigError: configs that do not fit together, or no such step.
        StepFailed: a command ended with an error; it has said why.
        RunError: ``only`` a step whose input is not made yet, or a damaged record.
    """
    shown = console or Terminal()
    out = Path(study.out)
    check_output_folder(out)
    states = states_of(plan_of(study), out)
    wanted = _wanted(states, only, until)
    if dry_run:
        for state in states:
            if state.step.name in wanted:
                shown.print(f"{state.step.name}: {state.why or 'done'}\n  $ {state.step.command}")
        return _summary(out, states, (), [state for state in states if state.due and state.step.name in wanted])
    _check_ready(states, wanted)
    due = [state for state in states if state.due and state.step.name in wanted]
    for state in states:
        if not state.due and state.step.name in wanted:
            shown.print(f"{state.step.name}: done")
    seconds = _Doing(out=out, console=shown, run=run).all(states, due)
    left = [state for state in states if state.due and state not in due]
    return _summary(out, states, seconds, left)


@dataclass(frozen=True, kw_only=True)
class _Doing:
    out: Path
    console: Terminal
    run: Callable[[Sequence[str]], int]

    def all(self, states: Sequence[State], due: Sequence[State]) -> tuple[str, ...]:
        """Do steps in order; return their names with the seconds they took."""
        marks = {state.step.name: state.record.mark for state in states if state.record is not None}
        told = []
        for number, state in enumerate(due, start=1):
            seconds = self._one(state, f"{number} of {len(due)}", marks)
            told.append(f"{state.step.name} {seconds:.0f} s")
        return tuple(told)

    def _one(self, state: State, place: str, marks: dict[str, str]) -> float:
        step = state.step
        self.console.rule(f"{step.name} ({place})", align="left", style="dim")
        if state.record is not None:
            self.console.print(f"{state.why}")
        self.console.print(f"$ {step.command}")
        if state.anew:
            clear(state, self.out)
        if state.anew or state.record is None:
            marks[step.name] = secrets.token_hex(8)
        write_record(state, self.out, marks)
        start = time.perf_counter()
        code = self.run(step.words)
        if code:
            raise StepFailed(
                f"step '{step.name}' ended with exit code {code}; repair what its message says and run the "
                "same command again",
                code,
            )
        missing = [str(path) for path in step.outputs if not path.exists()]
        if missing:
            raise RunError(f"step '{step.name}' ended without an error but did not write {', '.join(missing)}")
        seconds = time.perf_counter() - start
        write_record(state, self.out, marks, seconds)
        return seconds


def _wanted(states: Sequence[State], only: str | None, until: str | None) -> set[str]:
    steps = [state.step for state in states]
    if only is not None and until is not None:
        raise ConfigError("expected one of --only and --until, found both")
    if only is not None:
        return {step.name for step in named(steps, only, "--only")}
    if until is not None:
        needed = {step.name for step in named(steps, until, "--until")}
        for step in reversed(steps):
            needed |= set(step.needs) if step.name in needed else set()
        return needed
    return {step.name for step in steps}


def _check_ready(states: Sequence[State], wanted: set[str]) -> None:
    """Refuse a step whose input will not be there. Raises RunError."""
    by_name = {state.step.name: state for state in states}
    for state in states:
        if state.due and state.step.name in wanted:
            for name in state.step.needs:
                if by_name[name].due and name not in wanted:
                    raise RunError(
                        f"step '{state.step.name}' needs '{name}', which has to be done first "
                        f"({by_name[name].why}); leave out --only, or use --until {state.step.name}"
                    )


def _summary(out: Path, states: Sequence[State], done: tuple[str, ...], left: Sequence[State]) -> StudySummary:
    pages = [path for state in states if state.step.stage == "report" for path in state.step.outputs]
    return StudySummary(
        out=out,
        done=done,
        kept=tuple(state.step.name for state in states if not state.due),
        left=tuple(state.step.name for state in left),
        page=next((page for page in pages if page.exists()), None),
    )
