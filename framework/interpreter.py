"""Another Python on a module of ours, and never on one that lies in the folder somebody works in.

``python -m launch`` looks into the working folder first: a folder ``launch`` there, of whoever made it, would be run.
So this file is started by its path, with ``-P``, and finds the module beside itself. Its first lines see to it that
such a process ends quietly on Ctrl-C, also while it still imports, and with its launcher.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import runpy
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

LAUNCHER_VARIABLE = "WELLSTREAM_LAUNCHER"
"""Process id of the launcher, for ranks that must not outlive it."""
EXIT_INTERRUPTED = 130
"""As ``framework.exit_codes`` has it: this file is run before that one can be found."""
ROOT = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1
_AGAIN_S = 0.05


def python_on(module: str, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command line that runs ``python -m module arguments`` with the module of this installation."""
    return [sys.executable, "-P", str(Path(__file__).resolve()), module, *arguments]


def end_with_launcher() -> None:
    """Let the system end this process when its launcher has ended, where the system can (Linux)."""
    launcher = os.environ.pop(LAUNCHER_VARIABLE, None)
    if launcher is None:
        return
    with suppress(AttributeError, OSError, TypeError):  # another system has no prctl
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(launcher):  # it ended before the line above
        os._exit(EXIT_INTERRUPTED)


def interrupt_once(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; what comes after it is ignored, so that it disturbs no tidying up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Raise an interrupt again that Python could not pass on, as in a callback of a library: ``sys.unraisablehook``."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
    elif signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # interrupt_once has heard it
        signal.signal(signal.SIGINT, interrupt_once)
        _thread.start_new_thread(_interrupt_soon, ())


def _interrupt_soon() -> None:
    """Send this process the signal when it has left what lost it."""
    time.sleep(_AGAIN_S)
    os.kill(os.getpid(), signal.SIGINT)


def hear_interrupts() -> None:
    """Answer the next Ctrl-C, also one that came while it was held back; one that is ignored stays so."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt_once)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _run(module: str, arguments: Sequence[str]) -> None:
    end_with_launcher()
    sys.unraisablehook = raise_again
    try:
        hear_interrupts()
        if str(ROOT) not in sys.path:
            sys.path.insert(0, str(ROOT))
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])
