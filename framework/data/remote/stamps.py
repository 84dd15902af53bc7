"""Which cached files were read and found as recorded: once per file and boot, for all processes of a user.

A stamp holds what the file system says of the file at that time. Its change time moves with every write, and no user
can set it, so a stamp does not fit a file that was written or exchanged since. Stamps lie in a folder that nobody else
may write. A stamp of another boot does not count: what was not written out when a machine went down may be lost.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from framework.data.remote.entries import Opened
from framework.durable import content_checksum

_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
_LONGEST = 512
_LONGEST_WAIT_S, _ASK_AGAIN_S = 60.0, 0.02


class Stamps:
    """The stamps of one user.

    Args:
        folder: folder of this user alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._boot = _boot()
        self._known: dict[str, str] = {}

    def is_sound(self, file: Opened, blake3: str) -> bool:
        """Return whether an open file has this BLAKE3; it is read only when nobody did since the machine started."""
        found = self._text(file, blake3)
        if self._known.get(blake3) == found:
            return True
        with self._locked(blake3) as handle:
            if handle is None or not self._boot or os.pread(handle, _LONGEST, 0).decode("ascii", "replace") != found:
                file.seek(0)
                if content_checksum(file) != blake3 or self._text(file, blake3) != found:
                    return False
                _write(handle, found)
        self._known[blake3] = found
        return True

    def remember(self, file: Opened, blake3: str) -> None:
        """Note that an open file, published under its name already, was just read and found to have this BLAKE3."""
        found = self._known[blake3] = self._text(file, blake3)
        with self._locked(blake3) as handle:
            _write(handle, found)

    def touch(self, blake3: str) -> None:
        """Note that a file is used now."""
        with suppress(OSError):
            os.utime(self.folder / blake3)

    def forget(self, blake3: str) -> None:
        """Have the file read again before its next use."""
        self._known.pop(blake3, None)
        with suppress(OSError):
            (self.folder / blake3).unlink()

    def _text(self, file: Opened, blake3: str) -> str:
        facts = os.fstat(file.fileno())
        numbers = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        return f"{blake3} {self._boot} {' '.join(map(str, numbers))}\n"

    @contextmanager
    def _locked(self, blake3: str) -> Iterator[int | None]:
        """A stamp's file, locked so that one process reads for all; None where there can be none."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            handle = os.open(self.folder / blake3, flags, 0o640)
        except OSError:
            # A full disk, or something else of that name: the file is read by each process then.
            yield None
            return
        try:
            facts = os.fstat(handle)
            is_ours = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_uid == os.geteuid()
            yield handle if is_ours and _lock(handle) else None
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    deadline = time.monotonic() + _LONGEST_WAIT_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_ASK_AGAIN_S)
        except OSError:
            return False
        else:
            return True
    return False


def _write(handle: int | None, text: str) -> None:
    if handle is not None:
        with suppress(OSError):
            os.pwrite(handle, text.encode(), 0)
            os.ftruncate(handle, len(text))


def _boot() -> str:
    """What names this start of the machine; empty where nothing does, so that no stamp counts."""
    try:
        return _BOOT_FILE.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
