"""The first lines of the command ``wellstream``: they import next to nothing, so that Ctrl-C is answered at once.

Whatever goes wrong in a command ends here: one sentence on standard error and an exit code of ``framework.exit_codes``;
``--debug`` shows the traceback before it.
"""

from __future__ import annotations

import _thread
import atexit
import importlib
import os
import signal
import sys
import time
from types import FrameType

from framework.exit_codes import (
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    EXIT_UNEXPECTED,
    STEP_VARIABLE,
    Terminated,
    leave,
)

# The module typing alone would take longer to import than all of this one.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_AGAIN_S = 0.05
_LOADED_S = 1.0
"""How long a command may take to end that has only loaded modules so far."""
_BEGINNING = ("launch.", "typer.", "click.", "wellstream.", "framework.lazy", "importlib", "contextlib")
"""Whose code stands between the first line of a command and the modules that it loads; Typer's parser is Click's, its
own copy or the package."""
_NETWORKS = {"train", "heads", "embed", "predict", "inpaint", "features", "saliency", "evaluate", "evaluate-features"}
"""Commands that pass tiles through a network, and so ask for large memory again and again."""
_heard: list[int] = []
_unwound: list[bool] = []
_codes: list[int] = []
"""What the process ends with, once that is known."""


def main() -> NoReturn:
    """Run the command line and exit."""
    atexit.register(_leave)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    try:
        _codes.append(_carried_out(sys.argv[1:]))
    except KeyboardInterrupt:  # it came when the command had just ended
        _codes.append(_interrupted())
    sys.exit(_codes[0])


def _leave() -> None:
    """End the process after all else that was to be done at exit; it was the first to be registered.

    What follows here in Python takes its handlers away, and a signal would then end the process by itself.
    """
    leave(_codes[0] if _codes else EXIT_UNEXPECTED)


def _carried_out(arguments: list[str]) -> int:
    try:
        sys.unraisablehook = _on_unraisable
        _print_any_name()
        # What the libraries start as ``python -c`` or ``python -m`` must not import from the working folder either.
        os.environ.setdefault("PYTHONSAFEPATH", "1")
        # PyTorch's sockets write of every name that they cannot look up.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        if _NETWORKS.intersection(arguments[:2]):
            importlib.import_module("framework.allocator").keep_freed_memory()
        words = importlib.import_module("launch.switches").without_switches(arguments)
        importlib.import_module("launch.cli").app(words, prog_name="wellstream")
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as end:
        if not _heard:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        if not _heard:  # else it came of that: a module that is half loaded lacks names
            return _failed(error)
    return _interrupted() if _heard else 0


def _interrupted() -> int:
    """Say which signal ended the command; return the exit code for it."""
    _unwound.append(True)
    terminated = _heard[:1] == [signal.SIGTERM]
    if terminated or STEP_VARIABLE not in os.environ:
        _say(f"{'ended by SIGTERM' if terminated else 'interrupted'}; run the same command again to continue")
    return EXIT_TERMINATED if terminated else EXIT_INTERRUPTED


def _failed(error: Exception) -> int:
    if importlib.import_module("launch.switches").debugging():
        importlib.import_module("traceback").print_exception(error)
    errors = importlib.import_module("framework.errors")
    _say(errors.sentence_of(error))
    code: int = errors.code_of(error)
    return code


def _print_any_name() -> None:
    """Let every name of a file be printed, also one that is not text in the encoding of the terminal."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _say(text: str) -> None:
    try:
        importlib.import_module("launch.show").failure(text)
    except (KeyboardInterrupt, OSError):
        shown = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
        os.write(2, f"wellstream: {shown}\n".encode(errors="replace"))


def _on_signal(number: int, frame: FrameType | None) -> None:
    """The first signal unwinds the command; a second one ends it at once, in case that takes too long.

    After the command a signal ends only what is left to do at exit.
    """
    if _codes:
        os._exit(_codes[0])
    if _heard:
        os._exit(EXIT_TERMINATED if number == signal.SIGTERM else EXIT_INTERRUPTED)
    _heard.append(number)
    if _is_loading(frame):
        _thread.start_new_thread(_raise_after, (_LOADED_S,))
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _on_unraisable(lost: Any) -> None:
    """Raise an interrupt again that Python could not pass on, as in a callback of a library."""
    if issubclass(lost.exc_type, KeyboardInterrupt) and _heard:
        _thread.start_new_thread(_raise_after, (_AGAIN_S,))
    else:
        sys.__unraisablehook__(lost)


def _is_loading(frame: FrameType | None) -> bool:
    """Whether a command still loads its modules and has begun nothing that must be tidied up.

    A library that is being loaded may drop the interrupt, or make another error of it, as extensions in C do.
    """
    names = []
    while frame is not None and frame.f_code is not _carried_out.__code__:
        names.append(str(frame.f_globals.get("__name__", "")))
        frame = frame.f_back
    loads = [place for place, name in enumerate(names) if name.startswith("importlib._bootstrap")]
    return bool(loads) and all(f"{name}.".startswith(_BEGINNING) for name in names[loads[-1] :])


def _raise_after(seconds: float) -> None:
    """Send this process the signal that was lost, unless the command ends already."""
    time.sleep(seconds)
    if _heard and not _unwound and not _codes:
        os.kill(os.getpid(), _heard.pop())
