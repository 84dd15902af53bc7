"""One input in one forked process, with a time limit and a memory limit: what came of it, whatever happened."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from blake3 import blake3

from framework.errors import WellstreamError, sentence_of

Kind = Literal["value", "refused", "traceback", "crash", "hang"]
_NOBODY = 65534
_MOST_LISTED = 64
"""Values of an array that are kept as they are; a longer array is kept as its digest."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one input led to.

    Attributes:
        kind: ``value`` was read; ``refused`` with a sentence; ``traceback`` of an error that is not ours; ``crash`` by
            a signal; ``hang`` beyond the time limit.
        text: the value as JSON, the sentence, the traceback, the name of the signal or the limit.
        seconds: how long it took.
    """

    kind: Kind
    text: str
    seconds: float


def isolated(
    work: Callable[[], Any], *, seconds: float, memory_bytes: int, scratch: Path, without_rights: bool = False
) -> Outcome:
    """Run ``work`` in a child process and say what came of it.

    Args:
        work: returns what was read.
        seconds: after which the child is killed.
        memory_bytes: address space the child may add to what it inherits.
        scratch: folder for what the child prints.
        without_rights: whether the child of root gives up the rights of root, so that files may be closed to it.
    """
    began = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _live(work, writing, memory_bytes, scratch, without_rights=without_rights)
    os.close(writing)
    told, in_time = _received(reading, began + seconds)
    os.close(reading)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    took = time.monotonic() - began
    if not in_time:
        return Outcome(kind="hang", text=f"no answer within {seconds:g} s", seconds=took)
    if os.WIFSIGNALED(status) or not told:
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        return Outcome(kind="crash", text=f"{how}\n{_printed(scratch)}", seconds=took)
    kind, text = json.loads(told)
    return Outcome(kind=kind, text=text, seconds=took)


def _live(work: Callable[[], Any], pipe: int, memory_bytes: int, scratch: Path, *, without_rights: bool) -> None:
    """Be the child: never returns."""
    try:
        faulthandler.disable()
        out = os.open(scratch / "printed.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        limit = _address_space() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if without_rights:
            os.setgroups([])
            os.setegid(_NOBODY)
            os.seteuid(_NOBODY)
        told = _told(work)
    except BaseException:
        told = ["traceback", traceback.format_exc()[-4000:]]
    with os.fdopen(pipe, "wb") as stream:
        stream.write(json.dumps(told).encode())
    os._exit(0)


def _told(work: Callable[[], Any]) -> list[str]:
    try:
        return ["value", json.dumps(plain(work()), sort_keys=True)]
    except WellstreamError as error:
        return ["refused", str(error)]
    except OSError as error:
        # The command line makes a sentence of one that names its file.
        if error.strerror and error.filename:
            return ["refused", sentence_of(error)]
        return ["traceback", traceback.format_exc()[-4000:]]
    except BaseException:
        return ["traceback", traceback.format_exc()[-4000:]]


def _received(pipe: int, deadline: float) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return b"".join(parts), False
        part = os.read(pipe, 1 << 16)
        if not part:
            return b"".join(parts), True
        parts.append(part)


def _printed(scratch: Path) -> str:
    file = scratch / "printed.txt"
    return file.read_text(errors="replace")[-2000:] if file.is_file() else ""


def _address_space() -> int:
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; equal inputs give equal text, NaN is text, long arrays are their digest."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | np.floating():
            number = float(value)
            return number if np.isfinite(number) else str(number)
        case np.integer() | np.bool_():
            return value.item()
        case Path():
            return value.name
        case pd.DataFrame():
            return {str(name): plain(value[name]) for name in value.columns}
        case pd.Series() | pd.Index():
            return [plain(None if _is_missing(item) else item) for item in value.tolist()]
        case np.ndarray():
            return _array(value)
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            items = sorted(value) if isinstance(value, set | frozenset) else value
            return [plain(item) for item in items]
    return str(value)


def _is_missing(item: Any) -> bool:
    return item is None or item is pd.NA or (isinstance(item, float) and np.isnan(item))


def _array(values: np.ndarray[Any, Any]) -> Any:
    if values.dtype == object or values.size <= _MOST_LISTED:
        return [list(values.shape), plain(values.ravel().tolist())]
    return [list(values.shape), str(values.dtype), blake3(np.ascontiguousarray(values).tobytes()).hexdigest()]


if sys.platform != "linux":
    raise ImportError("the fuzz target needs Linux: it forks, and limits memory by address space")
