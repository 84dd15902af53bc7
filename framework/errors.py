"""Every error a user can meet, and the did-you-mean they share.

Each class subclasses ours, so that the command line prints one sentence instead of a traceback, and a builtin, so that
a library user may catch what Python users expect.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from framework.exit_codes import EXIT_MISTAKE, EXIT_UNEXPECTED

_LONGEST_NAME = 60
_GPU_OF = re.compile(r"(?:gpus?|cuda|nvidia|rocm|hip)(?::?(\d+))?")
_OF_MEMORY = re.compile(r"DefaultCPUAllocator|out of memory|STATUS_ALLOC_FAILED")
_OF_GPU = re.compile("cuda|cublas|cudnn|nccl", re.IGNORECASE)
_GPUS_OF_OTHERS = ("mps", "metal", "xpu", "tpu")


class WellstreamError(Exception):
    """Anything wrong that a user can repair: the message says what was expected, what was found, and what to do."""


class ConfigError(WellstreamError, ValueError):
    """A configuration file or override that does not describe a run."""


class RegistryError(WellstreamError, LookupError):
    """A name that no registry entry has, or that two entries claim, or an entry that is not complete."""


class InputError(WellstreamError, ValueError):
    """Raw input (images, plate maps, tables) that cannot be used; names the file and, where there is one, the well."""


class DatasetError(WellstreamError, ValueError):
    """A dataset folder that is missing, incomplete, damaged or of another schema version."""


class CheckpointError(WellstreamError, ValueError):
    """A checkpoint that is missing, damaged or belongs to another model."""


class RunError(WellstreamError, RuntimeError):
    """A run that cannot go on: an objective without its labels, an empty split, a non-finite loss."""


def did_you_mean(names: str | Sequence[str], options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the option nearest to a name, or an empty string when none is near.

    Of several names it says which option is for which: ``"; did you mean 'x' for 'xx', 'y' for 'yy'?"``. Among devices,
    GPUs have a name that no spelling of theirs is near to.
    """
    asked, options = [names] if isinstance(names, str) else list(names), list(options)
    if "cuda" in options and (told := _of_gpus(asked[0].lower())):
        return told
    by_lower = {option.lower(): option for option in options}
    near: list[str] = []
    for name in asked:
        for found in difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6):
            near.append(f"'{by_lower[found]}'" + (f" for '{name}'" if len(asked) > 1 else ""))
    return f"; did you mean {', '.join(near)}?" if near else ""


def _of_gpus(name: str) -> str:
    """Return how a GPU is asked for, where ``name`` means one; else an empty string."""
    found = _GPU_OF.fullmatch(name)
    if found is not None:
        number = found[1]
        chosen = f"; CUDA_VISIBLE_DEVICES={number} before the command chooses number {number}" if number else ""
        return f"; 'cuda' is the name for GPUs{chosen}"
    if name.partition(":")[0] in _GPUS_OF_OTHERS:
        return f"; 'cuda' is the name for GPUs, and '{name}' is not supported: 'cpu' computes there"
    return ""


def some_of(names: Iterable[object], most: int = 20) -> str:
    """Return names of a file as a message lists them: the first ones, long ones cut, and how many more there are."""
    shown = [str(name) for name in names]
    first = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in shown[:most]]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(first) + more if first else "none"


def without_secrets(text: str) -> str:
    """Return ``text`` with user names, passwords and queries of URLs cut out."""
    text = re.sub(r"(?<=://)[^/\s'\"]*@", "", text)
    return re.sub(r"(\w://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)


def sentence_of(error: BaseException) -> str:
    """Return what a person reads about ``error``: never a class alone, never a traceback."""
    if isinstance(error, WellstreamError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return _of_system(error)
    if is_of_memory(error):
        return _of_memory(error)
    reason = str(error).strip()
    return (
        f"unexpected {type(error).__name__}{f': {reason}' if reason else ''} ({_place(error)}); this is a fault of "
        "Wellstream or of a plugin: the same command with --debug shows the traceback to report"
    )


def code_of(error: BaseException) -> int:
    """Return the exit code for ``error``."""
    return EXIT_MISTAKE if isinstance(error, WellstreamError | OSError) or is_of_memory(error) else EXIT_UNEXPECTED


def mark_own(error: BaseException) -> None:
    """Mark an error of what this process was given to read: of several ranks, its number is said even where all fail.

    Whoever repairs a damaged tile wants to know who met it.
    """
    error.__dict__["of_what_it_read"] = True


def is_own(error: BaseException) -> bool:
    """Return whether an error was marked by ``mark_own``."""
    return bool(error.__dict__.get("of_what_it_read", False))


def is_of_memory(error: BaseException) -> bool:
    """Return whether memory was short: torch has a class for it, which its libraries and CUDA itself do not raise."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and _OF_MEMORY.search(str(error)) is not None


def _of_memory(error: BaseException) -> str:
    """Return what helps: processes of one machine share its memory, and several GPUs share a step."""
    # On a GPU torch goes on with an inventory.
    reason = str(error).strip().split("\n")[0].split("] . ")[-1].split(" Including non-PyTorch memory")[0].rstrip(".")
    said = f" ({reason})" if reason else ""
    if _OF_GPU.search(str(error)):
        return (
            f"out of memory of the GPU{said}: pass a step through the network in parts (train.accumulate, or "
            "objective.gradient_cache where there is one), make it smaller (fewer bags or tiles in the plan), lower "
            "train.prefetch, or use more GPUs"
        )
    return (
        f"out of memory{said}: make a step smaller (fewer bags or tiles in the plan), lower train.prefetch, or use "
        "fewer processes"
    )


_ROOM = "make room, then run the same command again"
_RIGHTS = "change its permissions, or name another place"
_REMOVE = "a file is needed there; remove it, or name another place"
_ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "it is larger than this account or file system allows; name another place",
    errno.EEXIST: "a folder is needed there; name another place",
    errno.ENOTDIR: "a part of this path is a file and no folder; name another place",
    errno.EISDIR: "a file is needed there; name another place",
    errno.ELOOP: _REMOVE,
    errno.ENXIO: _REMOVE,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
}


def _of_system(error: OSError) -> str:
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    reason = str(error.strerror)
    what = f"{' -> '.join(names)}: {reason[:1].lower()}{reason[1:]}" if names else reason
    advice = _ADVICE.get(error.errno or 0)
    return f"{what}; {advice}" if advice else what


def _place(error: BaseException) -> str:
    """Return the line of code that raised ``error``."""
    trace = error.__traceback__
    if trace is None:
        return "in no known line"
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{Path(code.co_filename).name}:{trace.tb_lineno}, {code.co_name}"
