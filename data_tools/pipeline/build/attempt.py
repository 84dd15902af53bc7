"""One attempt at a dataset, of plates or of cells: what to refuse, continue, make again or leave as it is.

The two kinds of ingest differ in what they survey and in what a shard is made of; the steps around that are these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from data_tools.pipeline.build.config import IngestBase
from data_tools.pipeline.build.durable import explained, only_writer
from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.repair import J, lost_files, remake, restore_index
from data_tools.pipeline.build.runner import Runner, open_runner
from data_tools.readers.problem import Problem
from framework.data.format.schema import Manifest
from framework.errors import InputError
from framework.progress import OnCount, OnProgress
from framework.result import Result

_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True, repr=False)
class Summary(Result):
    """What every ingest says at its end, or would say.

    Attributes:
        state: ``built``, ``already_complete`` (nothing was done), ``repaired`` (lost files were made
            again) or ``dry_run`` (nothing was written).
        out: the dataset folder.
        channels: stored channels.
        pixel_size_um: of the dataset.
        tiles: stored; an estimate after a dry run.
        bytes: of all shards; an estimate after a dry run.
        markers: measurements stored with each tile.
        shards: number of shards.
        shards_reused: those an earlier attempt had finished.
        problems: sentences, one for each piece of input that was (or would be) left out.
        notes: sentences of the readers.
    """

    state: Literal["built", "already_complete", "repaired", "dry_run"]
    out: str
    channels: tuple[str, ...]
    pixel_size_um: float | None
    tiles: int
    bytes: int
    markers: tuple[str, ...] = ()
    shards: int = 0
    shards_reused: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Where an attempt works and whom it tells.

    Attributes:
        build: folder of the dataset.
        scheduler: address of a Dask scheduler; None for workers on this machine.
        workers: local processes; None is one a core, 0 does all in this process.
        report: called with (stage, done, total).
    """

    build: BuildFolder
    scheduler: str | None
    workers: int | None
    report: OnProgress

    def runner(self, jobs: int) -> AbstractContextManager[Runner]:
        """Open the place where at most ``jobs`` tasks run. Raises as ``open_runner``."""
        return open_runner(self.scheduler, self.workers, jobs, self.build.parts / "dask")


class _Survey(Protocol):
    @property
    def problems(self) -> Sequence[Problem]: ...


C = TypeVar("C", bound=IngestBase)
F = TypeVar("F", bound=_Survey)
S = TypeVar("S", bound=Summary)


def carry_out(
    config: C,
    attempt: Attempt,
    *,
    survey: Callable[[C, Path], F],
    build: Callable[[C, F, Attempt], S],
    jobs_again: Callable[[C, F, Attempt, Manifest], Sequence[J]],
    make: Callable[[J], ShardFacts],
    of_complete: Callable[[Manifest, BuildFolder], S],
) -> S:
    """Build a dataset, continue one, make its lost files again, or find that nothing is to be done.

    Args:
        config: of the ingest.
        attempt: where it works.
        survey: lists the input, file names relative to a folder in what it says.
        build: makes the whole dataset in a folder that is claimed.
        jobs_again: the jobs of all shards of a finished dataset.
        make: the task of a shard; returns what its marker holds.
        of_complete: tells of a finished dataset.

    Raises:
        InputError: input that cannot be used; with ``on_error: skip`` only what concerns the config as a whole.
        DatasetError: a folder that holds something else, is not writable, or a full disk.
        PipelineError: workers that die or a scheduler that does not answer.
    """
    folder = attempt.build
    folder.check(config)
    found = None if folder.complete(config) else survey(config, folder.base)
    if found is not None and config.on_error == "raise" and found.problems:
        raise _as_error(found.problems)
    with explained(folder.root):
        folder.root.mkdir(parents=True, exist_ok=True)
    with only_writer(folder.root):
        complete = folder.claim(config)
        again = restore_index(complete, folder.root) if complete is not None else ()
        if complete is not None and not lost_files(complete, folder.root):
            done = of_complete(complete, folder)
            return replace(done, state="repaired", notes=again) if again else done
        found = found or survey(config, folder.base)
        if complete is None:
            return build(config, found, attempt)
        n_jobs = _repair(make, jobs_again(config, found, attempt, complete), complete, attempt)
        note = f"{n_jobs} lost shards were made again, each with its recorded checksum"
        reused = len(complete.shards) - n_jobs
        return replace(of_complete(complete, folder), state="repaired", shards_reused=reused, notes=(note,))


def _repair(make: Callable[[J], ShardFacts], every: Sequence[J], manifest: Manifest, attempt: Attempt) -> int:
    """Make the lost shards of a finished dataset again, and nothing else; return how many."""
    build = attempt.build
    lost = lost_files(manifest, build.root)
    jobs = [job for job in every if any(file.relative_to(build.root).as_posix() in lost for file in job.files.stored)]
    with explained(build.root):
        build.parts.mkdir(exist_ok=True)
    with attempt.runner(len(jobs)) as runner:
        remake(make, jobs, manifest, build, runner)
    return len(jobs)


def make_missing(
    make: Callable[[J], ShardFacts],
    jobs: Sequence[J],
    known: Sequence[ShardFacts | None],
    sizes: Sequence[int],
    advance: OnCount,
    runner: Runner,
) -> tuple[list[ShardFacts], int]:
    """Make the shards that are not there yet; return the facts of all, in order, and how many were there.

    Args:
        make: the task of a shard; returns what its marker holds.
        jobs: of all shards, in order.
        known: what the marker of each says, None where it is to be made.
        sizes: what each counts for in the progress.
        advance: called with (done, total).
        runner: where tasks run.
    """
    missing = [place for place, facts in enumerate(known) if facts is None]
    total = sum(sizes)
    done = total - sum(sizes[place] for place in missing)
    advance(done, total)
    fresh: dict[int, ShardFacts] = {}
    for place, made in zip(missing, runner.each(make, [jobs[place] for place in missing]), strict=True):
        fresh[place] = made
        done += sizes[place]
        advance(done, total)
    facts = [fresh[place] if old is None else old for place, old in enumerate(known)]
    return facts, sum(old is not None and old.shard is not None for old in known)


def _as_error(problems: Sequence[Problem]) -> InputError:
    shown = [problem.detail for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more problems; list them all with --dry-run")
    return InputError("\n".join(shown))
