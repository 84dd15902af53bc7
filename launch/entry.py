"""The first lines of the command ``wellstream``: they import next to nothing, so that Ctrl-C is answered at once.

Whatever goes wrong in a command ends here: one sentence on standard error and an exit code of ``framework.exit_codes``;
``--debug`` shows the traceback before it. ``--allow-code`` lets plugins that are files run.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from framework.errors import code_of, sentence_of
from framework.exit_codes import EXIT_INTERRUPTED, EXIT_TERMINATED
from framework.interpreter import Terminated

DEBUG_VARIABLE = "WELLSTREAM_DEBUG"
CODE_VARIABLE = "WELLSTREAM_ALLOW_CODE"


@dataclass(frozen=True, kw_only=True)
class Switch:
    """An option that may stand anywhere on the command line.

    Attributes:
        flag: the option.
        variable: of the environment, which remembers it for other ranks too.
        help: what it does.
    """

    flag: str
    variable: str
    help: str

    @property
    def name(self) -> str:
        """Of a parameter for it."""
        return self.flag.strip("-").replace("-", "_")


DEBUG = Switch(flag="--debug", variable=DEBUG_VARIABLE, help="show the traceback of an error")
ALLOW_CODE = Switch(flag="--allow-code", variable=CODE_VARIABLE, help="run plugins that are files")
_SWITCHES = {switch.flag: switch for switch in (DEBUG, ALLOW_CODE)}
_AGAIN_S = 0.05
_heard: list[int] = []


def main() -> NoReturn:
    """Run the command line and exit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable
    _print_any_name()
    # What the libraries start as ``python -c`` or ``python -m`` must not import from the working folder either.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    code = _carried_out(_without_switches(sys.argv[1:]))
    _heard.append(0)
    sys.exit(code)


def _carried_out(arguments: list[str]) -> int:
    try:
        importlib.import_module("launch.cli").app(arguments, prog_name="wellstream")
    except KeyboardInterrupt:
        pass
    except SystemExit as end:
        if not _heard:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exception(error)
        _say(sentence_of(error))
        return code_of(error)
    if not _heard:
        return 0
    by = "ended by SIGTERM" if _heard[0] == signal.SIGTERM else "interrupted"
    _say(f"{by}; run the same command again to continue")
    return EXIT_TERMINATED if _heard[0] == signal.SIGTERM else EXIT_INTERRUPTED


def _without_switches(words: list[str]) -> list[str]:
    """Take ``--debug`` and ``--allow-code`` out of the words before ``--``, and remember them, for other ranks too.

    Only the command line says that code of a file may run: what the environment said before is forgotten.
    """
    options = words[: words.index("--")] if "--" in words else words
    os.environ.pop(CODE_VARIABLE, None)
    for flag, switch in _SWITCHES.items():
        if flag in options:
            os.environ[switch.variable] = "1"
    return [word for word in options if word not in _SWITCHES] + words[len(options) :]


def _print_any_name() -> None:
    """Let every name of a file be printed, also one that is no text in the encoding of the terminal."""
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
    """The first signal unwinds the command; a second one ends it at once, in case that takes too long."""
    if _heard:
        os._exit(EXIT_TERMINATED if number == signal.SIGTERM else EXIT_INTERRUPTED)
    _heard.append(number)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _on_unraisable(lost: Any) -> None:
    """Raise an interrupt again that Python could not pass on, as in a callback of a library."""
    if issubclass(lost.exc_type, KeyboardInterrupt) and _heard:
        again = threading.Timer(_AGAIN_S, os.kill, [os.getpid(), _heard.pop()])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)
