"""One writer a run folder: a lock that the operating system drops with the process, whatever ends it.

A killed torchrun leaves its workers behind for a while; the same run started again beside them would write the same
files.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framework.errors import RunError

LOCK_NAME = ".lock"


@contextmanager
def sole_writer(root: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is made when missing.

    Raises:
        RunError: another process trains in this folder.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK_NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise RunError(f"{root}: another process trains in this folder ({owner}); wait for it or end it") from None
        except OSError:
            # A file system without locks: the run is not refused for that.
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
