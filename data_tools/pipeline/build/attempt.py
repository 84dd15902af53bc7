"""One attempt at a dataset of any kind: what to refuse, build, continue, make again or leave as it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from data_tools.pipeline.build.facts import ShardFacts
from data_tools.pipeline.build.folder import BuildFolder, explained, only_writer
from data_tools.pipeline.build.joining import finish
from data_tools.pipeline.build.kind import C, F, J, Kind, S
from data_tools.pipeline.build.repair import lost_files, remake, restore_index
from data_tools.pipeline.build.runner import Runner, open_runner
from data_tools.pipeline.build.shard_file import known_facts
from data_tools.readers.problem import Problem
from framework.data.format.schema import Manifest
from framework.errors import InputError
from framework.look.values import Look
from framework.progress import OnProgress

_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Where an attempt works and whom it tells.

    Attributes:
        folder: folder of the dataset.
        scheduler: address of a Dask scheduler; None for workers on this machine.
        workers: local processes; None is one per core, 0 does all in this process.
        report: called with (stage, done, total).
    """

    folder: BuildFolder
    scheduler: str | None
    workers: int | None
    report: OnProgress

    def unasked(self, why: str) -> tuple[str, ...]:
        """Return the note that a scheduler was named and not needed, where one was."""
        return () if self.scheduler is None else (f"the Dask scheduler '{self.scheduler}' was not asked: {why}",)

    def runner(self, jobs: int) -> AbstractContextManager[Runner]:
        """Open the place where at most ``jobs`` tasks run. Raises as ``open_runner``."""
        return open_runner(self.scheduler, self.workers, jobs, self.folder.parts / "dask")


def estimate(kind: Kind[C, F, J, S], attempt: Attempt) -> S:
    """Return what would be built; write nothing. Raises InputError: input that cannot be used."""
    found = kind.survey(attempt.folder.base)
    estimated = kind.dry_run(found, attempt.folder, attempt.report)
    return replace(estimated, notes=(*estimated.notes, *attempt.unasked("a dry run makes nothing")))


def estimate_and_look(kind: Kind[C, F, J, S], attempt: Attempt) -> tuple[S, Look | None]:
    """Return what would be built, and a look at it; write nothing. Raises InputError: input that cannot be used."""
    found = kind.survey(attempt.folder.base)
    estimated = kind.dry_run(found, attempt.folder, attempt.report)
    return estimated, kind.look(found, attempt.folder, estimated, attempt.report)


def carry_out(kind: Kind[C, F, J, S], attempt: Attempt) -> S:
    """Build a dataset, continue one, make its lost files again, or find that nothing is to be done.

    Raises:
        InputError: input that cannot be used; with ``on_error: skip`` only what concerns the config as a whole.
        DatasetError: a folder that holds something else, is not writable, or a full disk.
        PipelineError: workers that die or a scheduler that does not answer.
    """
    folder, config = attempt.folder, kind.config
    folder.check(config)
    # Before anything is written; input that is refused leaves no folder behind.
    complete_before = folder.complete(config) is not None
    found = None if complete_before else _surveyed(kind, folder)
    changed = () if complete_before else folder.changed_since(config)
    with only_writer(folder.root):
        complete = folder.claim(config)
        if complete is None:
            built = _build(kind, found or _surveyed(kind, folder), attempt)
            said = f"the unfinished build went on with another {', '.join(changed)}; what they shape was made again"
            return replace(built, notes=(*built.notes, said)) if changed else built
        return _repair(kind, complete, attempt)


def _surveyed(kind: Kind[C, F, J, S], folder: BuildFolder) -> F:
    """List the input, and refuse what cannot be used unless it is to be skipped."""
    found = kind.survey(folder.base)
    if kind.config.on_error == "raise" and found.problems:
        raise _as_error(found.problems)
    return found


def _as_error(problems: Sequence[Problem]) -> InputError:
    shown = [problem.detail for problem in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more problems; list them all with --dry-run")
    return InputError("\n".join(shown))


def _build(kind: Kind[C, F, J, S], found: F, attempt: Attempt) -> S:
    """Make all shards in a folder that is claimed, then the tables and ``dataset.json``."""
    folder, report = attempt.folder, attempt.report
    per_shard = kind.config.shards.bags_per_shard
    with attempt.runner(sum(-(-bags // per_shard) for bags in found.bag_counts)) as runner:
        jobs = kind.jobs(found, folder, runner, report, None)
        facts, reused = _make_missing(kind, jobs, runner, report)
    report("tables", 0, 1)
    manifest = finish(kind, found, folder, jobs, facts)
    report("tables", 1, 1)
    built = replace(kind.of_complete(manifest, folder.root), state="built", shards_reused=reused)
    return kind.of_build(built, found, facts)


def _make_missing(
    kind: Kind[C, F, J, S], jobs: Sequence[J], runner: Runner, report: OnProgress
) -> tuple[list[ShardFacts], int]:
    """Make the shards that are not there yet; return the facts of all, in order, and how many were there."""
    known = [known_facts(job.files, job.inputs) for job in jobs]
    missing = [place for place, facts in enumerate(known) if facts is None]
    total = sum(job.size for job in jobs)
    done = total - sum(jobs[place].size for place in missing)
    report(kind.stage, done, total)
    fresh: dict[int, ShardFacts] = {}
    for place, made in zip(missing, runner.each(kind.make, [jobs[place] for place in missing]), strict=True):
        fresh[place] = made
        done += jobs[place].size
        report(kind.stage, done, total)
    facts = [fresh[place] if old is None else old for place, old in enumerate(known)]
    return facts, sum(old is not None and old.shard is not None for old in known)


def _repair(kind: Kind[C, F, J, S], complete: Manifest, attempt: Attempt) -> S:
    """Make the lost files of a finished dataset again, and nothing else."""
    root = attempt.folder.root
    notes = list(restore_index(complete, root))
    lost = lost_files(complete, root)
    n_made = _make_lost(kind, complete, lost, attempt) if lost else 0
    if n_made:
        notes.append(f"{n_made} lost shards were made again, each with its recorded checksum")
    whole = kind.of_complete(complete, root)
    unasked = () if n_made else attempt.unasked("all of the dataset is there")
    if not notes:
        return replace(whole, notes=(*whole.notes, *unasked)) if unasked else whole
    return replace(whole, state="repaired", shards_reused=len(complete.shards) - n_made, notes=(*notes, *unasked))


def _make_lost(kind: Kind[C, F, J, S], complete: Manifest, lost: set[str], attempt: Attempt) -> int:
    """Make the shards again that the ``lost`` files belong to; return how many."""
    folder = attempt.folder
    found = kind.survey(folder.base)
    with explained(folder.root):
        folder.parts.mkdir(exist_ok=True)
    with attempt.runner(len(lost)) as runner:
        jobs = kind.jobs(found, folder, runner, attempt.report, complete)
        again = [job for job in jobs if job.files.names & lost]
        remake(kind, again, complete, folder, runner)
    return len(again)
