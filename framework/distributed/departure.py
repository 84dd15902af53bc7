"""The end of a process that was a rank: without Python taking itself apart first.

PyTorch lets go of tensors in the threads of gloo, and needs Python for it. A thread that does so while Python takes
itself apart aborts the process (PyTorch 2.13, issue 190489), and a run that is finished looks like one that crashed.
"""

from __future__ import annotations

import atexit
from typing import NoReturn

from framework.exit_codes import leave


def end_rank(code: int = 0) -> NoReturn:
    """Do what was registered for the end, and end this process; its ranks are closed and its threads have no work."""
    atexit._run_exitfuncs()
    leave(code)
