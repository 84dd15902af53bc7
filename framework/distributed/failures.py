"""How a rank that cannot go on tells why: once for all ranks, with its number, whoever started the processes.

Under ``wellstream train --nproc`` a rank leaves a note for its launcher, which says one sentence at the end. Under
torchrun, or any other launcher, ranks speak themselves; the store that they met at tells them what was said already.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch.distributed as dist

from framework.errors import WellstreamError, code_of, is_of_memory, is_own, sentence_of
from framework.exit_codes import EXIT_UNEXPECTED
from framework.terminal import visible

REPORTS_VARIABLE = "WELLSTREAM_REPORTS"
"""Folder for the notes of ranks, set by our launcher."""
DEBUG_VARIABLE = "WELLSTREAM_DEBUG"
"""Set: tracebacks are shown."""
_GRACE_S = 3.0
_OF_PEER = re.compile(r"gloo/|NCCL|onnection (closed|reset) by peer|Broken pipe|closed the connection|store.*timeout")

_OF_THIS_RANK = re.compile("ncclUnhandledCudaError|ncclInvalid")
"""What NCCL calls its failures that have nothing to do with other ranks."""

Kind = Literal["error", "lost", "waited", "stalled", "stopped", "killed"]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a rank ended.

    Attributes:
        rank: which.
        kind: ``error``: its own; ``stalled``: it did not move; ``killed``: by a signal; ``lost``, ``waited``: what
            another rank did to it; ``stopped``: it was asked to.
        message: sentence without the rank; for other kinds than ``error`` without a subject.
        code: exit code it stands for.
        when: seconds since 1970.
        shared: every rank fails with the same sentence, so it belongs to none.
        own: it is of what this rank was given to read, so its number is said even where others say the same.
        trace: stack or traceback, for people who look for the cause.
    """

    rank: int
    kind: Kind
    message: str
    code: int
    when: float
    shared: bool = False
    own: bool = False
    trace: str = ""

    @property
    def is_cause(self) -> bool:
        """Whether it began here, and is not the consequence of what another rank did."""
        return self.kind in ("error", "stalled", "killed")

    def sentence(self) -> str:
        """Return the message with its rank; only a message of kind ``error`` is a sentence of its own."""
        if self.shared:
            return self.message
        return f"rank {self.rank}{':' if self.kind == 'error' else ''} {self.message}"


def share(error: BaseException) -> None:
    """Mark an error that every rank raises."""
    error.__dict__["of_every_rank"] = True


def this_rank() -> int | None:
    """Return the rank a launcher gave this process; None where it runs alone."""
    text = os.environ.get("RANK", "") if "LOCAL_RANK" in os.environ else ""
    return int(text) if text.isdigit() else None


def failure_of(error: BaseException, rank: int) -> Failure:
    """Return why ``rank`` ends with ``error``."""
    shared = bool(error.__dict__.get("of_every_rank", False))
    lost = not shared and _is_of_a_peer(error)
    message = f"lost its connection to another rank ({_reason(error)})" if lost else _sentence(error)
    return Failure(
        rank=rank,
        kind="lost" if lost else "error",
        message=message,
        code=EXIT_UNEXPECTED if lost else code_of(error),
        when=time.time(),
        shared=shared,
        own=is_own(error),
        trace="".join(traceback.format_exception(error)),
    )


def tell(failure: Failure) -> None:
    """Let the user know of a failure, once per process, and at most once for what several ranks say alike."""
    if _TOLD:
        return
    _TOLD.append(failure)
    folder = os.environ.get(REPORTS_VARIABLE)
    if folder is not None:
        with suppress(OSError):  # the launcher has ended
            _note(Path(folder), failure)
        return
    if _is_news(failure):
        shown = failure.trace if failure.kind == "stalled" or os.environ.get(DEBUG_VARIABLE) else ""
        _say(f"wellstream: {failure.sentence()}\n{shown}")


def notes(folder: Path) -> dict[int, Failure]:
    """Return rank -> failure of all notes in ``folder``."""
    found = {}
    for file in folder.glob("rank-*.json"):
        failure = Failure(**json.loads(file.read_text(encoding="utf-8")))
        found[failure.rank] = failure
    return found


_TOLD: list[Failure] = []


def _note(folder: Path, failure: Failure) -> None:
    beside = folder / f"rank-{failure.rank}.part"
    beside.write_text(json.dumps(asdict(failure)), encoding="utf-8")
    beside.replace(folder / f"rank-{failure.rank}.json")


def _say(text: str) -> None:
    with suppress(OSError):
        # In one write, so that ranks do not mix their letters.
        sys.stderr.write(visible(text))
        sys.stderr.flush()


def _is_news(failure: Failure) -> bool:
    """Whether nobody has said this yet; a consequence waits for its cause first. Without a store, everything is."""
    store = _store()
    if store is None:
        return True
    try:
        if failure.is_cause:
            store.set(f"cause/{failure.rank}", json.dumps(asdict(replace(failure, trace=""))))
            store.add("causes", 1)
        elif failure.kind in ("lost", "waited"):
            until = time.monotonic() + _GRACE_S
            while time.monotonic() < until:
                if store.check(["causes"]):
                    return False
                time.sleep(0.1)
        alike = failure.message if failure.is_cause or failure.kind == "stopped" else "consequence"
        said: int = store.add(f"said/{hashlib.sha256(alike.encode()).hexdigest()}", 1)
    except (RuntimeError, OSError):
        return True
    return said == 1


def _store() -> Any:
    """Return a store that outlives this rank's process group, or None."""
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", "")
    if host is None or not port.isdigit() or this_rank() is None:
        return None
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        client = dist.TCPStore(  # type: ignore[attr-defined]
            host, int(port), is_master=False, timeout=timedelta(seconds=_GRACE_S)
        )
        return dist.PrefixStore(f"wellstream/{attempt}", client)  # type: ignore[attr-defined]
    except (RuntimeError, ValueError, OSError):
        return None


def _is_of_a_peer(error: BaseException) -> bool:
    """Whether a collective failed because another rank had ended."""
    if isinstance(error, WellstreamError | OSError) or not isinstance(error, RuntimeError):
        return False
    if is_of_memory(error) or _OF_THIS_RANK.search(str(error)):
        return False
    return isinstance(error, dist.DistError) or any(_OF_PEER.search(str(one)) for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _sentence(error: BaseException) -> str:
    if isinstance(error, dist.DistError) and not is_of_memory(error):
        return f"NCCL failed: {_reason(error)}; with NCCL_DEBUG=INFO before the command it says what it tried"
    return sentence_of(error)


def _reason(error: BaseException) -> str:
    """Return the line that says most: the first, or the one in which NCCL says what went wrong."""
    head, _, last = str(error).strip().partition("Last error:")
    text = re.sub(r"^\[[^\]]*\]\s*", "", (last.strip() or head).split("\n")[0])
    return text[:200].rstrip(". ")
