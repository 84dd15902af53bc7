"""What became of a group of ranks, from exit codes and what they told: the cause first, consequences left out."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from framework.distributed.failures import Failure
from framework.exit_codes import EXIT_INTERRUPTED, EXIT_REQUEUE, EXIT_SIGNAL, EXIT_UNEXPECTED

_SEEN_LATE_S = 1.0
"""The end of a process is seen after its peers have told of it; SIGABRT is often itself such a consequence."""
_OUT_OF_MEMORY = (
    "; if nobody did that, the machine ran out of memory: make a step smaller, lower train.prefetch, or use fewer "
    "processes"
)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How ranks ended.

    Attributes:
        code: exit code for the whole, see ``framework.exit_codes``.
        sentences: what to say, the cause first; empty when all went well.
        trace: stack of a rank that stood still; empty for others.
        details: tracebacks, for people who ask for them.
    """

    code: int
    sentences: tuple[str, ...] = ()
    trace: str = ""
    details: str = ""


def killed(rank: int, code: int, when: float) -> Failure:
    """Return the failure of a rank that ended with ``code`` (minus the signal's number) and told nothing."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
        message = f"was ended by signal {-code} ({name})" + (_OUT_OF_MEMORY if -code == signal.SIGKILL else "")
        early = 0.0 if -code == signal.SIGABRT else _SEEN_LATE_S
        return Failure(rank=rank, kind="killed", message=message, code=EXIT_SIGNAL - code, when=when - early)
    message = f"ended with exit code {code} and did not say why"
    if code in (EXIT_REQUEUE, EXIT_INTERRUPTED):
        return Failure(rank=rank, kind="stopped", message=message, code=code, when=when)
    return Failure(rank=rank, kind="killed", message=message, code=code, when=when)


def verdict(count: int, codes: Mapping[int, int], failures: Sequence[Failure], heard: Sequence[int]) -> Ending:
    """Return what to say and the exit code.

    Args:
        count: ranks of the run.
        codes: rank -> exit code of the ranks that ended by themselves.
        failures: what is known of those that failed.
        heard: signals that the launcher was sent and passed on.
    """
    causes = sorted((one for one in failures if one.is_cause), key=lambda one: one.when)
    # A rank that is interrupted while a library works may fail in unforeseen ways.
    if causes and not (heard and all(one.code == EXIT_UNEXPECTED for one in causes)):
        return _failed(causes, count)
    stopped = [one for one in failures if one.kind == "stopped"]
    said = [one for one in stopped if one.shared]
    if said:
        return Ending(code=said[0].code, sentences=(said[0].sentence(),))
    if heard and (not codes or any(codes.values())):
        return _stopped_early(signal.SIGTERM in heard, heard.count(signal.SIGINT) > 1)
    if stopped:
        said_of = f"rank {stopped[0].rank} was interrupted; run the same command again to start or continue"
        return Ending(code=stopped[0].code, sentences=(said_of,))
    rest = sorted(failures, key=lambda one: one.when)
    if rest:
        stacks = "".join(f"rank {one.rank}:\n{one.trace}" for one in rest if one.kind == "waited")
        return replace(_failed(rest[:1], count), trace=stacks)
    return Ending(code=next((code for code in codes.values() if code), 0))


def _failed(causes: Sequence[Failure], count: int) -> Ending:
    """The first cause is the one; others that say something else are told too."""
    first = causes[0]
    alike = [one for one in causes if one.message == first.message]
    if len(alike) == count > 1 and not any(one.own for one in alike):
        head = first.message
    elif len(alike) > 1 and not first.shared:
        ranks = ", ".join(str(one.rank) for one in sorted(alike, key=lambda one: one.rank))
        head = f"ranks {ranks}{':' if first.kind == 'error' else ''} {first.message}"
    else:
        head = first.sentence()
    others = {one.message: one for one in causes if one.message != first.message}
    rest = tuple(f"also {replace(one, shared=False).sentence()}" for one in others.values())
    details = "".join(f"rank {one.rank}:\n{one.trace}" for one in causes if one.trace)
    return Ending(
        code=first.code or EXIT_UNEXPECTED,
        sentences=(head, *rest),
        trace=first.trace if first.kind == "stalled" else "",
        details="" if first.kind == "stalled" else details,
    )


def _stopped_early(terminated: bool, twice: bool) -> Ending:
    if terminated:
        return Ending(
            code=EXIT_REQUEUE, sentences=("stopped by SIGTERM; run the same command again to start or continue",)
        )
    what = "interrupted twice, so the ranks were ended without a checkpoint" if twice else "interrupted"
    return Ending(code=EXIT_INTERRUPTED, sentences=(f"{what}; run the same command again to start or continue",))
