"""What a process of Wellstream ends with: one meaning per number, the same for every command and every rank.

Batch systems read these numbers: 75 asks them to queue the run again, the others do not.
"""

from __future__ import annotations

import os
import sys

# The module typing alone would take longer to import than all of this one.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

EXIT_UNEXPECTED = 1
"""Something that no message foresaw: a fault of Wellstream or of a plugin. Also: a check found a fault."""
EXIT_MISTAKE = 2
"""A mistake, or input that is damaged or missing: the sentence says what to do."""
EXIT_REQUEUE = 75
"""Training was stopped by SIGTERM; the same command goes on where it stopped (``EX_TEMPFAIL``)."""
EXIT_STALLED = 124
"""A rank did not move for too long; its name and stack were printed. Or another machine of the run is gone. As the
command ``timeout``."""
EXIT_SIGNAL = 128
"""Plus the number of the signal that ended a rank: 137 is SIGKILL, most often for want of memory."""
EXIT_INTERRUPTED = 130
"""Ctrl-C."""
EXIT_OUTPUT_CLOSED = 141
"""Nobody reads the output any more, as after SIGPIPE: ``wellstream inspect X | head``."""
EXIT_TERMINATED = 143
"""Another command than training was ended by SIGTERM."""

STEP_VARIABLE = "WELLSTREAM_STEP"
"""Set for a command that another one runs as its step: after Ctrl-C that one says what to type."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised as Ctrl-C is, so that a command tidies up after itself."""


def leave(code: int) -> NoReturn:
    """Write out what was printed, and end this process as it is, without Python taking itself apart first."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # nobody reads it, or it is closed
            continue
    os._exit(code)
